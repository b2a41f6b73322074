"""Affine (uniform) quantization, 8 to 2 bits: real = (q - zero) * multiple * scale.

`scale` is per tensor or per output channel (axis 0). `group` granularity gives every run of
`group_size` weights of a channel its own small-integer multiple of the channel's scale, so that integer
kernels still see one scale per channel (the products q * multiple fit int8).

Ref: Jacob et al. 2018 (arXiv 1712.05877), eq. 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, IntegerWeights, Leaf
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.formats.ranges import RangeRule, row_ranges
from smidgen.formats.scales import floored, is_bfloat16, scale_leaf, scales_of
from smidgen.numerics import Array, round_half_up

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

Granularity = Literal["tensor", "channel", "group"]
FloatArray32 = npt.NDArray[np.float32]
MAX_MULTIPLE = 16
INT8_MAX = 127


@dataclass(frozen=True, eq=False)
class Affine(Format):
    """Quantized weights.

    Attributes:
        symbols: int8, the weight's shape; |q| <= 2^(bits-1) - 1 if symmetric.
        scale: float32 [1] or [O], positive; bfloat16 values unless another tool chose them.
        bits: 2..8.
        zero: int8 [1] or [O] zero points, or None if symmetric; q - zero always fits int8.
        multiples: uint8 [O, groups] in 1..16, or None.
        group_size: weights per group along the flattened rest of a channel (0 without groups).
        float_latent: unrounded weights that training continues from; never stored.
    """

    symbols: npt.NDArray[np.int8]
    scale: FloatArray32
    bits: int
    zero: npt.NDArray[np.int8] | None = None
    multiples: npt.NDArray[np.uint8] | None = None
    group_size: int = 0
    float_latent: FloatArray32 | None = None

    @staticmethod
    def fit(
        weight: FloatArray32,
        bits: int,
        granularity: Granularity = "channel",
        symmetric: bool = True,
        rule: RangeRule = "minmax",
        group_size: int = 32,
    ) -> Affine:
        """Quantize `weight` ([O, ...]); ranges are chosen per row by `rule` (see `ranges.row_ranges`)."""
        if not 2 <= bits <= 8:
            raise ValueError(f"affine weights take 2 to 8 bits, not {bits}")
        if granularity == "group" and not symmetric:
            raise ValueError("group scales are symmetric: zero points go with tensor or channel scales")
        weight = np.asarray(weight, dtype=np.float32)
        rows = weight.reshape(1, -1) if granularity == "tensor" else weight.reshape(weight.shape[0], -1)
        if granularity == "group":
            scale, multiples = _fit_groups(rows, bits, rule, group_size)
            return requantized(Affine(_empty(weight), scale, bits, None, multiples, group_size), weight)
        lo, hi = row_ranges(rows, bits, symmetric, rule)
        if symmetric:
            scale = floored(np.maximum(-lo, hi) / qmax_of(bits))
            return requantized(Affine(_empty(weight), scale, bits), weight)
        # The second bound keeps q - zero inside int8, which all integer kernels multiply with.
        spacing = np.maximum((hi - lo) / ((1 << bits) - 1), np.maximum(-lo, hi) / INT8_MAX)
        scale = floored(spacing)
        qmin, qmax = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        zero = np.clip(round_half_up(qmin - lo / scale), qmin, qmax).astype(np.int8)
        return requantized(Affine(_empty(weight), scale, bits, zero), weight)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.symbols.shape

    @property
    def latent(self) -> FloatArray32:
        return self.decode() if self.float_latent is None else self.float_latent

    @property
    def label(self) -> str:
        return f"affine{self.bits}"

    def spacing(self) -> FloatArray32:
        """The step between neighbouring values of each weight, broadcastable to [O, weights per channel]."""
        if self.multiples is None:
            return self.scale[:, None]
        return (self._multiple_of_each(self.multiples) * self.scale[:, None]).astype(np.float32)

    def decode(self) -> FloatArray32:
        whole = self.integers()
        rows = whole.values.reshape(self._rows, -1).astype(np.float32) * whole.scale[:, None]
        return rows.astype(np.float32).reshape(self.shape)

    def integers(self) -> IntegerWeights:
        q = self.symbols.reshape(self._rows, -1).astype(np.int64)
        if self.zero is not None:
            q = q - self.zero.astype(np.int64)[:, None]
        if self.multiples is not None:
            q = q * self._multiple_of_each(self.multiples).astype(np.int64)
        return IntegerWeights(np.clip(q, -128, INT8_MAX).astype(np.int8).reshape(self.shape), self.scale)

    @property
    def is_scalable(self) -> bool:
        """True where the negative of every symbol is one, too."""
        least = int(self.symbols.min(initial=0))
        return self.zero is None and least >= -qmax_of(self.bits)

    def scaled(self, factor: FloatArray32) -> Affine:
        """The weights times `factor` [O], none of it 0: signs change with it. Needs `is_scalable`."""
        signs = np.sign(factor).astype(np.int8).reshape(-1, *(1,) * (len(self.shape) - 1))
        sizes = np.abs(factor.astype(np.float64)) * self.scale
        symbols, multiples = self.symbols * signs, self.multiples
        return Affine(symbols, sizes.astype(np.float32), self.bits, None, multiples, self.group_size)

    def leaves(self) -> tuple[Leaf, ...]:
        found = [
            Leaf("symbols", self.symbols.ravel(), self.bits, signed=True, shape=self.shape),
            scale_leaf(self.scale),
        ]
        if self.zero is not None:
            found.append(Leaf("zero", self.zero, self.bits, signed=True))
        if self.multiples is not None:
            found.append(Leaf("multiples", self.multiples.ravel() - np.uint8(1), 4, signed=False))
        return tuple(found)

    def meta(self) -> dict[str, Any]:
        described = {
            "shape": list(self.shape),
            "bits": self.bits,
            "scales": int(self.scale.size),
            "asymmetric": self.zero is not None,
            "group_size": self.group_size,
        }
        return described if is_bfloat16(self.scale) else {**described, "float32_scales": True}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Affine:
        shape, bits, group = shape_of(meta), meta.get("bits"), meta.get("group_size")
        scales = meta.get("scales")
        if type(bits) is not int or not 2 <= bits <= 8 or type(group) is not int or group < 0 or not shape:
            raise BadFile(
                "affine", f"bits={bits!r}, group_size={group!r}, shape={shape}", "2 to 8 bits are known"
            )
        if type(scales) is not int or scales not in (1, shape[0]) or (group and scales != shape[0]):
            raise BadFile("affine", f"{scales!r} scales", f"1 or {shape[0]} are needed")
        limit = 1 << (bits - 1)
        symbols = leaf_of(leaves, "symbols", math.prod(shape))
        if symbols.size and (symbols.min() < -limit or symbols.max() >= limit):
            raise BadFile("affine", f"a symbol outside {bits} bits")
        scale = scales_of(leaves, scales, "affine", meta.get("float32_scales") is True)
        zero = leaf_of(leaves, "zero", scales).astype(np.int8) if meta.get("asymmetric") else None
        multiples = None
        if group:
            groups = -(-math.prod(shape[1:]) // group)
            raw = leaf_of(leaves, "multiples", shape[0] * groups)
            multiples = (raw.astype(np.uint8) + np.uint8(1)).reshape(shape[0], groups)
        return cls(symbols.astype(np.int8).reshape(shape), scale, bits, zero, multiples, group)

    def twin(self) -> Twin:
        from smidgen.formats.twins import AffineTwin

        return AffineTwin(self)

    def _multiple_of_each(self, multiples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """[O, weights per channel]. A file may declare groups longer than a row: only the row is expanded."""
        row = self._row_size
        return np.repeat(multiples, min(self.group_size, max(row, 1)), axis=1)[:, :row]

    @property
    def _rows(self) -> int:
        return int(self.scale.size)

    @property
    def _row_size(self) -> int:
        return self.symbols.size // max(self._rows, 1)


def qmax_of(bits: int) -> int:
    """The largest symmetric integer of `bits` bits, 2^(bits-1) - 1."""
    return (1 << (bits - 1)) - 1


def requantized(fmt: Affine, weight: FloatArray32) -> Affine:
    """`fmt`'s grid applied to new float weights, which become its latent. Half up in float64."""
    rows = np.asarray(weight, dtype=np.float64).reshape(fmt.scale.size, -1)
    zero = 0.0 if fmt.zero is None else fmt.zero.astype(np.float64)[:, None]
    qmax = qmax_of(fmt.bits)
    qmin = -qmax if fmt.zero is None else -qmax - 1
    q = np.clip(round_half_up(rows / fmt.spacing().astype(np.float64)) + zero, qmin, qmax)
    latent = np.asarray(weight, dtype=np.float32)
    return replace(fmt, symbols=q.astype(np.int8).reshape(latent.shape), float_latent=latent)


def _empty(weight: FloatArray32) -> npt.NDArray[np.int8]:
    return np.zeros(weight.shape, dtype=np.int8)


def _fit_groups(
    rows: FloatArray32, bits: int, rule: RangeRule, group_size: int
) -> tuple[FloatArray32, npt.NDArray[np.uint8]]:
    """(channel scale [O], multiples [O, groups]): each group's step rounded up to a multiple of the scale."""
    channels, size = rows.shape
    groups = -(-size // group_size)
    padded = np.zeros((channels, groups * group_size), dtype=np.float32)
    padded[:, :size] = rows
    lo, hi = row_ranges(padded.reshape(channels * groups, group_size), bits, True, rule)
    step = (np.maximum(-lo, hi) / qmax_of(bits)).reshape(channels, groups)
    limit = max(min(MAX_MULTIPLE, INT8_MAX // qmax_of(bits)), 1)
    scale = floored(step.max(axis=1) / limit)
    multiples = np.clip(np.ceil(step / scale[:, None]), 1, limit).astype(np.uint8)
    return scale, multiples
