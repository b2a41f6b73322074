"""Trainable stand-ins of binary and ternary weights: float latents, whose gradient passes the rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from smidgen.formats.binary import Binary, mean_sizes, power_sizes, powers_of, signs_of
from smidgen.formats.binarypacks import BinaryPacks, largest_packs, signs_in, spread_over
from smidgen.formats.scales import floored, is_bfloat16
from smidgen.formats.ternary import Ternary, ternarized
from smidgen.formats.twins import LearnedScale, Twin

INSIDE = 1.0  # latents further out get no gradient through the sign
FAR, LEAK = 10.0, 0.1  # beyond, a power-scaled latent gets a tenth of the gradient


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

    def __init__(self, fmt: Binary | BinaryPacks | Ternary) -> None:
        super().__init__()
        self.rows = fmt.scale.size
        self.latent = nn.Parameter(torch.from_numpy(fmt.latent.copy()))
        self.fixed_scale = None if is_bfloat16(fmt.scale) else fmt.scale


class BinaryTwin(LatentTwin):
    """Sign and scale are made anew at every step; a folded scale is no mean of the latents."""

    signs: ClassVar[type[torch.autograd.Function]] = ScaledSigns

    def weight(self) -> Tensor:
        rows = self.latent.reshape(self.rows, -1)
        scale = torch.from_numpy(self.freeze().scale).to(rows.device)[:, None]
        signs: Tensor = self.signs.apply(rows, scale)  # type: ignore[no-untyped-call]
        return signs.reshape(self.latent.shape)

    def freeze(self) -> Binary:
        latent = self.latent.detach().cpu().numpy().copy()
        means = mean_sizes(latent.reshape(self.rows, -1))
        return signs_of(latent, means if self.fixed_scale is None else self.fixed_scale)


class LeakingSigns(torch.autograd.Function):
    """sign(w) * scale, scale [rows, 1]. dC/dw = dC/dy, a tenth of it where |w| > 10.

    Ref: Fromm et al. 2020 (Riptide, MLSys), section 3, and its published code.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(latent)
        return torch.where(latent >= 0, scale, -scale)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (latent,) = ctx.saved_tensors
        return torch.where(latent.abs() <= FAR, grads[0], LEAK * grads[0]), None


class PowerTwin(BinaryTwin):
    """Scales are the powers of two nearest to mean sizes; one that came without latents (from a file, or with
    a factor folded in) stays what it is.
    """

    signs = LeakingSigns

    def __init__(self, fmt: Binary) -> None:
        super().__init__(fmt)
        self.fixed_scale = fmt.scale if fmt.float_latent is None else None

    def freeze(self) -> Binary:
        latent = self.latent.detach().cpu().numpy().copy()
        if self.fixed_scale is not None:
            return powers_of(latent, self.fixed_scale)
        return powers_of(latent, power_sizes(latent.reshape(self.rows, -1)))


class TernaryTwin(LatentTwin):
    """Threshold and scale follow the latent weights; the gradient passes straight through."""

    def weight(self) -> Tensor:
        made = torch.from_numpy(self.freeze().decode()).to(self.latent.device)
        return self.latent + (made - self.latent).detach()

    def freeze(self) -> Ternary:
        return ternarized(self.latent.detach().cpu().numpy().copy(), self.rows, self.fixed_scale)


class PacksTwin(LatentTwin):
    """Latents stay in -1..1, and the gradient passes straight through to kept and lost ones alike.

    Until `open_share` of the training each update keeps the packs that are the largest by then, so that a
    lost one may come back; from there on those of that moment stay.
    Ref: Romaszkan, Li, Gupta 2020 (3PXNet): packs first, then a training with their mask frozen.
    """

    def __init__(self, fmt: BinaryPacks) -> None:
        super().__init__(fmt)
        self.width, self.count, self.open_share = fmt.width, fmt.packs_a_row, fmt.open_share
        self.kept, self.settled = fmt.kept, fmt.open_share == 0

    def weight(self) -> Tensor:
        with torch.no_grad():
            self.latent.clamp_(-INSIDE, INSIDE)
            kept = spread_over(self._packs(), self.width, self.latent.shape[-1])
            mask = torch.from_numpy(kept).to(self.latent.device).reshape(self.rows, -1)
            rows = self.latent.reshape(self.rows, -1)
            means = (rows.abs() * mask).sum(dim=1, dtype=torch.float64) / mask.sum(dim=1).clamp_min(1)
            found = floored(means.cpu().numpy()) if self.fixed_scale is None else self.fixed_scale
            scale = torch.from_numpy(found).to(rows.device)[:, None] * mask
            made = torch.where(rows >= 0, scale, -scale).reshape(self.latent.shape)
        return self.latent + (made - self.latent).detach()

    def progress(self, t: float) -> None:
        if not self.settled and t >= self.open_share:
            self.kept, self.settled = self._packs(), True

    def freeze(self) -> BinaryPacks:
        latent = self.latent.detach().cpu().numpy().copy()
        return signs_in(latent, self._packs(), self.width, self.rows, self.fixed_scale)

    def _packs(self) -> npt.NDArray[np.bool_]:
        if self.settled:
            return self.kept
        return largest_packs(self.latent.detach().cpu().numpy(), self.count, self.width)


class LearnedTernaryTwin(Twin):
    """Symbols follow the latent weights by the same threshold, scales are trained.

    dC/dscale = sum of symbol * dC/dw over what shares it: the two scales of the paper (eq. 7) as one, because
    integer kernels have one scale a channel. The latents' gradient passes straight through.
    Ref: Zhu, Han, Mao, Dally 2017 (arXiv 1612.01064), section 3.
    """

    def __init__(self, fmt: Ternary) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.from_numpy(fmt.latent.copy()))
        self.scale = LearnedScale(fmt.scale)

    def weight(self) -> Tensor:
        symbols = torch.from_numpy(self.freeze().symbols).to(self.latent.device)
        scale = self.scale()
        made: Tensor = (symbols.reshape(len(scale), -1) * scale[:, None]).reshape(self.latent.shape)
        return made + (self.latent - self.latent.detach())

    def freeze(self) -> Ternary:
        scale, latent = self.scale.stored(), self.latent.detach().cpu().numpy().copy()
        return replace(ternarized(latent, scale.size, scale), learned=True)
