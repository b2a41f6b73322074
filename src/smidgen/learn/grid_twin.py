"""Fake quantization of activations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smidgen.formats import Grid
from smidgen.formats.twins import round_half_up_ste

RANGE_MOMENTUM = 0.02


class GridTwin(nn.Module):
    """Fake quantization of one activation. While `adapting`, its range follows an average of batch ranges."""

    lo: Tensor
    hi: Tensor

    def __init__(self, grid: Grid, fixed: bool) -> None:
        super().__init__()
        self.original = grid
        self.bits = grid.bits
        self.fixed = fixed
        self.adapting = not fixed
        self.moved = False
        self.register_buffer("lo", torch.tensor((grid.qmin - grid.zero) * grid.scale))
        self.register_buffer("hi", torch.tensor((grid.qmax - grid.zero) * grid.scale))

    def forward(self, x: Tensor) -> Tensor:
        self.observe(x)
        return snapped(x, self.grid())

    @property
    def observing(self) -> bool:
        return self.training and self.adapting

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Move the range towards that of a batch."""
        if self.observing:
            self.lo.lerp_(x.min().clamp_max(0.0), RANGE_MOMENTUM)
            self.hi.lerp_(x.max().clamp_min(0.0), RANGE_MOMENTUM)
            self.moved = True

    def grid(self) -> Grid:
        """The grid of the current range; the original one if nothing moved."""
        return Grid.from_range(float(self.lo), float(self.hi), self.bits) if self.moved else self.original


def snapped(x: Tensor, grid: Grid) -> Tensor:
    """`x` on the grid; the gradient passes wherever `x` lies in its range."""
    low, high = (grid.qmin - grid.zero) * grid.scale, (grid.qmax - grid.zero) * grid.scale
    return round_half_up_ste(torch.clamp(x, low, high) / grid.scale) * grid.scale
