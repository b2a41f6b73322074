"""Trainable stand-ins of binary and ternary weights: float latents, whose gradient passes the rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from smidgen.formats.binary import Binary, mean_sizes, signs_of
from smidgen.formats.scales import is_bfloat16
from smidgen.formats.ternary import Ternary, ternarized
from smidgen.formats.twins import Twin

INSIDE = 1.0  # latents further out get no gradient through the sign


class ScaledSigns(torch.autograd.Function):
    """sign(w) * scale, where scale [rows, 1] is the mean size of each row of w [rows, n].

    dC/dw = dC/dy * (1/n + scale * [|w| <= 1]). Ref: Rastegari et al. 2016 (arXiv 1603.05279), section 3.1.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(latent, scale)
        return torch.where(latent >= 0, scale, -scale)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        latent, scale = ctx.saved_tensors
        return grads[0] * (1 / latent.shape[1] + scale * (latent.abs() <= INSIDE)), None


class LatentTwin(Twin):
    """Latent weights; a scale that a BatchNorm was folded into (no bfloat16 number) stays what it is."""

    def __init__(self, fmt: Binary | Ternary) -> None:
        super().__init__()
        self.rows = fmt.scale.size
        self.latent = nn.Parameter(torch.from_numpy(fmt.latent.copy()))
        self.fixed_scale = None if is_bfloat16(fmt.scale) else fmt.scale


class BinaryTwin(LatentTwin):
    """Sign and scale are made anew at every step; a folded scale is no mean of the latents."""

    def weight(self) -> Tensor:
        rows = self.latent.reshape(self.rows, -1)
        scale = torch.from_numpy(self.freeze().scale).to(rows.device)[:, None]
        signs: Tensor = ScaledSigns.apply(rows, scale)  # type: ignore[no-untyped-call]
        return signs.reshape(self.latent.shape)

    def freeze(self) -> Binary:
        latent = self.latent.detach().cpu().numpy().copy()
        means = mean_sizes(latent.reshape(self.rows, -1))
        return signs_of(latent, means if self.fixed_scale is None else self.fixed_scale)


class TernaryTwin(LatentTwin):
    """Threshold and scale follow the latent weights; the gradient passes straight through."""

    def weight(self) -> Tensor:
        made = torch.from_numpy(self.freeze().decode()).to(self.latent.device)
        return self.latent + (made - self.latent).detach()

    def freeze(self) -> Ternary:
        return ternarized(self.latent.detach().cpu().numpy().copy(), self.rows, self.fixed_scale)
