"""Trainable torch stand-ins for the formats (imported lazily: everything else works without torch).

A twin's `weight()` is differentiable and has exactly the values that `freeze().decode()` will have, up to
float32 rounding; `freeze` re-derives the integers from the latent weights with the format's own NumPy rule,
so freezing an untouched twin gives back the format it came from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from smidgen.formats.affine import Affine, qmax_of, requantized
from smidgen.formats.base import Format
from smidgen.formats.codebook import INT8_MAX, Codebook, scale_for, snapped
from smidgen.formats.dense import Dense
from smidgen.formats.half import HALF_MAX, Half
from smidgen.formats.imported import Imported
from smidgen.formats.integer import Integer
from smidgen.formats.lowrank import LowRank
from smidgen.formats.scales import is_bfloat16
from smidgen.formats.sparse import Sparse


class Twin(nn.Module):
    """Base of all twins. `progress(t)`, t from 0 to 1, drives annealing; most formats ignore it."""

    def weight(self) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no weight()")

    def freeze(self) -> Format:
        raise TypeError(f"{type(self).__name__} has no freeze()")

    def progress(self, t: float) -> None:
        del t


class DenseTwin(Twin):
    def __init__(self, fmt: Dense) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.from_numpy(fmt.array.copy()))

    def weight(self) -> Tensor:
        return self.latent

    def freeze(self) -> Dense:
        return Dense(self.latent.detach().cpu().numpy())


class IntegerTwin(Twin):
    """The structure of trees: integers that training leaves as they are."""

    fixed: Tensor

    def __init__(self, fmt: Integer) -> None:
        super().__init__()
        self.fmt = fmt
        self.register_buffer("fixed", torch.from_numpy(fmt.array.astype(np.int64)))

    def weight(self) -> Tensor:
        return self.fixed

    def freeze(self) -> Integer:
        return self.fmt


class ImportedTwin(Twin):
    """Weights that another tool quantized: training leaves them as they are."""

    fixed: Tensor

    def __init__(self, fmt: Imported) -> None:
        super().__init__()
        self.fmt = fmt
        self.register_buffer("fixed", torch.from_numpy(fmt.decode()))

    def weight(self) -> Tensor:
        return self.fixed

    def freeze(self) -> Imported:
        return self.fmt


class RoundHalfUp(torch.autograd.Function):
    """floor(x + 1/2) with the straight-through gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0]


def round_half_up_ste(x: Tensor) -> Tensor:
    rounded: Tensor = RoundHalfUp.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def bfloat16_up_of(x: Tensor) -> Tensor:
    """`numerics.bfloat16_up` in torch: the smallest bfloat16 values >= x >= 0, held in float32."""
    up: Tensor = ((x.view(torch.int32) + 0xFFFF) >> 16) << 16
    return up.view(torch.float32)


class LearnedScale(nn.Module):
    """Trained scales [rows], as a file will hold them: bfloat16 rounded up, float32 where they came so."""

    start: Tensor

    def __init__(self, scale: npt.NDArray[np.float32]) -> None:
        super().__init__()
        # scale = start * e^growth: relative steps suit Adam, and zero growth gives the exact start.
        self.register_buffer("start", torch.from_numpy(scale.copy()))
        self.growth = nn.Parameter(torch.zeros(scale.size))
        self.rounds = is_bfloat16(scale)

    def forward(self, damping: float = 1.0) -> Tensor:
        """The stored scales; the gradient passes their rounding, times `damping`."""
        free = self._free() * damping
        scale: Tensor = free + (self._stored() - free).detach()
        return scale

    def stored(self) -> npt.NDArray[np.float32]:
        scale: npt.NDArray[np.float32] = self._stored().cpu().numpy()
        return scale

    def _free(self) -> Tensor:
        grown: Tensor = self.start * torch.exp(self.growth)
        return grown

    def _stored(self) -> Tensor:
        scale = self._free().detach().clamp_min(1e-9)
        return bfloat16_up_of(scale) if self.rounds else scale


class AffineTwin(Twin):
    """Latent weights and a learned step size per channel (or tensor).

    Ref: Esser et al. 2020 (LSQ, arXiv 1902.08153): the straight-through gradient reaches the step, scaled by
    1/sqrt(n * qmax).
    """

    relative: Tensor
    zero: Tensor

    def __init__(self, fmt: Affine) -> None:
        super().__init__()
        self.fmt = fmt
        self.latent = nn.Parameter(torch.from_numpy(fmt.latent.copy()))
        self.scale = LearnedScale(fmt.scale)
        relative = (fmt.spacing() / fmt.scale[:, None]).astype(np.float32)
        self.register_buffer("relative", torch.from_numpy(relative))
        zero = np.zeros(1, np.float32) if fmt.zero is None else fmt.zero.astype(np.float32)
        self.register_buffer("zero", torch.from_numpy(zero)[:, None])

    def weight(self) -> Tensor:
        qmax = qmax_of(self.fmt.bits)
        qmin = -qmax if self.fmt.zero is None else -qmax - 1
        rows = self.latent.reshape(len(self.relative), -1)
        step = self.scale((rows.shape[1] * qmax) ** -0.5)[:, None] * self.relative
        q = torch.clamp(round_half_up_ste(rows / step) + self.zero, qmin, qmax) - self.zero
        weight: Tensor = (q * step).reshape(self.latent.shape)
        return weight

    def freeze(self) -> Affine:
        return requantized(replace(self.fmt, scale=self.scale.stored()), self.latent.detach().cpu().numpy())


class CodebookTwin(Twin):
    """Trained centroids with fixed members: a centroid's gradient is the sum of its members' gradients.

    The forward pass uses the centroids on the int8 grid, as a file will hold them; the gradient passes the
    rounding straight through.
    Ref: Han, Mao, Dally 2016 (arXiv 1510.00149), section 3.3.
    """

    indices: Tensor
    scale: Tensor

    def __init__(self, fmt: Codebook) -> None:
        super().__init__()
        self.shape = fmt.shape
        self.centroids = nn.Parameter(torch.from_numpy(fmt.latent_centroids.copy()))
        self.register_buffer("indices", torch.from_numpy(fmt.indices.ravel().astype(np.int64)))
        self.register_buffer("scale", torch.from_numpy(fmt.scale.copy()))

    def weight(self) -> Tensor:
        largest = self.centroids.detach().abs().max()
        reached = largest <= INT8_MAX * self.scale
        scale = torch.where(reached, self.scale, bfloat16_up_of(largest / INT8_MAX))
        # Divided in float64, as `snapped` does, so that both round the same way.
        steps = self.centroids.double() / scale.double()
        rounded = torch.clamp(round_half_up_ste(steps), -INT8_MAX, INT8_MAX).float() * scale
        return rounded.index_select(0, self.indices).reshape(self.shape)

    def freeze(self) -> Codebook:
        latent = self.centroids.detach().cpu().numpy().copy()
        indices = self.indices.cpu().numpy().astype(np.uint8).reshape(self.shape)
        return snapped(indices, latent, scale_for(latent, self.scale.cpu().numpy().copy()))


class SparseTwin(Twin):
    """A masked inner twin. `mask` is a buffer: gradual pruning replaces it while training."""

    mask: Tensor

    def __init__(self, fmt: Sparse) -> None:
        super().__init__()
        self.inner: Twin = fmt.inner.twin()
        self.register_buffer("mask", torch.from_numpy(fmt.mask.copy()))

    def weight(self) -> Tensor:
        return self.inner.weight() * self.mask

    def freeze(self) -> Sparse:
        return Sparse(self.mask.cpu().numpy().copy(), self.inner.freeze())

    def progress(self, t: float) -> None:
        self.inner.progress(t)


class HalfTwin(Twin):
    """Float32 weights rounded to half precision on the way forward; gradients pass straight through."""

    def __init__(self, fmt: Half) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.from_numpy(fmt.decode()))

    def weight(self) -> Tensor:
        free = self.latent.clamp(-HALF_MAX, HALF_MAX)
        return free + (free.half().float() - free).detach()

    def freeze(self) -> Half:
        return Half.fit(self.latent.detach().cpu().numpy())


class LowRankTwin(Twin):
    """Trains the factors. `GraphTwin` executes them one after the other; `weight()` is their product."""

    def __init__(self, fmt: LowRank) -> None:
        super().__init__()
        self.shape = fmt.shape
        self.left: Twin = fmt.left.twin()
        self.right: Twin = fmt.right.twin()

    def weight(self) -> Tensor:
        right = self.right.weight()
        return (self.left.weight().reshape(-1, len(right)) @ right.flatten(1)).reshape(self.shape)

    def freeze(self) -> LowRank:
        return LowRank(self.left.freeze(), self.right.freeze())

    def progress(self, t: float) -> None:
        self.left.progress(t)
        self.right.progress(t)
