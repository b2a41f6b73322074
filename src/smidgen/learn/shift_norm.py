"""ShiftNorm in torch (graph/shift_norm.py)."""

from __future__ import annotations

import torch
from torch import Tensor


class NearestPower(torch.autograd.Function):
    """2^round(log2 x), half up; the gradient passes as if it were x."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.exp2(torch.floor(torch.log2(x) + 0.5))

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


def shift_norm(x: Tensor, mean: Tensor, variance: Tensor, epsilon: float, extra_scale: float) -> Tensor:
    """(x - mean) * AP2(1 / (extra_scale * sqrt(variance + epsilon))) along the last axis of x [n, ..., C]."""
    factor = torch.rsqrt(variance + epsilon) / extra_scale
    power: Tensor = NearestPower.apply(factor)  # type: ignore[no-untyped-call]
    return (x - mean) * power


def batch_statistics(x: Tensor, mean: Tensor, variance: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    """(mean, variance) [C] of a batch [n, ..., C], towards which the running ones, given, move."""
    rows = x.reshape(-1, x.shape[-1])
    found, spread = rows.mean(0), rows.var(0, unbiased=False)
    with torch.no_grad():
        mean.lerp_(found, momentum)
        variance.lerp_(spread * (len(rows) / max(len(rows) - 1, 1)), momentum)
    return found, spread
