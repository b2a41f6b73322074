"""Rules for what reads a whole row at once: softmax, and normalization by mean and variance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from smidgen.formats import Grid
from smidgen.graph import Graph, Node, Value
from smidgen.lower.rules import Lowering, Rule, bounds, requantization
from smidgen.numerics import MULTIPLIER_BITS, Array, FloatArray, round_half_up, saturate

EXP_ONE = 65535
POWER_PARTS = 256  # of a power of two, in which distances of 16-bit scores are counted
GROUP_LIMITS = {"int8": 1 << 16, "int16": 1 << 13}  # values normalized together: their moments fit 64 bits
REACH_BITS = {"int8": 8, "int16": 16}  # of a value's distance from its zero point
REACH_LIMIT_BITS = 30  # of a sum of distances under the root
MAX_ROOT_SHIFT = 19
MAX_EPSILON_SHIFT = 45
NORMAL_BITS = 16  # behind the point of a normalized value
BIAS_BITS = 8  # of an output step that a bias resolves
BIAS_LIMIT = (1 << 24) - 1  # 65536 steps: beyond, every output is saturated
MULTIPLIER_LIMIT = 1 << MULTIPLIER_BITS
LARGEST_SHIFT = 30


def polynomial_exp(x: Array) -> Array:
    """e^x for x <= 0 within 0.0021: x = -z ln 2 + p, then (0.3585 (p + 1.353)^2 + 0.344) 2^-z, at most 1.

    Ref: Kim et al. 2021 (I-BERT, arXiv 2101.01321), section 3.5.
    """
    z = np.floor(-x / math.log(2))
    p = x + z * math.log(2)
    return np.asarray(np.minimum((0.3585 * (p + 1.353) ** 2 + 0.344) * 2.0**-z, 1.0))


EXPONENTIALS: Mapping[str, Callable[[Array], Array]] = {
    "exact": np.exp,
    "polynomial": polynomial_exp,
}


def softmax(low: Lowering, node: Node, out: str) -> None:
    """exp(-d * scale) for d = max - x in 0..255, as uint16.

    Of 16 bits: the table holds one power of two in 256 parts, and a ratio brings d to such parts.
    """
    x = low.grid(node.inputs[0])
    exponential = EXPONENTIALS[node.attrs.get("exponential", "exact")]
    wide = x.dtype == "int16"
    step = math.log(2) / POWER_PARTS if wide else x.scale
    entries = round_half_up(exponential(-step * np.arange(256)) * EXP_ONE).astype(np.uint16)
    params: dict[str, Array | str] = {"table": entries}
    if wide:
        params |= requantization(x.scale / step)
    if "mask" in node.params:
        kept = low.source.weights[node.params["mask"]].decode() != 0
        params["mask"] = kept.astype(np.uint8)
    low.emit(node, "q.softmax", node.inputs, out, params)


def normalize(low: Lowering, node: Node, out: str) -> None:
    """Moments of integers are exact; gamma and beta are multipliers and biases of the normalized value."""
    x, y = low.grid(node.inputs[0]), low.grid(out)
    count = group_size(low.source.values[node.inputs[0]], node)
    _, root_shift = normalize_ranges(x.dtype, count)["root_shift"]
    # Integers are real distances * count / scale; the root is taken of 4^root_shift times their square.
    added = node.attrs["epsilon"] * (count / x.scale * 2.0**root_shift) ** 2
    epsilon, epsilon_shift = _rounded_to_16_bits(added)
    multiplier, bias, shift = _affine(low, node, y)
    low.emit(
        node,
        "q.normalize",
        node.inputs,
        out,
        {"multiplier": multiplier, "bias": bias},
        axes=node.attrs["axes"],
        centered=node.attrs["centered"],
        root_shift=root_shift,
        epsilon=epsilon,
        epsilon_shift=epsilon_shift,
        shift=shift,
        **bounds(low, node, out),
    )


def normalize_ranges(dtype: str, count: int) -> dict[str, tuple[int, int]]:
    """The legal attributes of a `q.normalize` of `count` values at a time: all its numbers fit 64 bits."""
    room = REACH_LIMIT_BITS - REACH_BITS[dtype] - (count - 1).bit_length()
    return {
        "root_shift": (0, min(MAX_ROOT_SHIFT, room)),
        "epsilon": (1, (1 << MULTIPLIER_BITS) - 1),
        "epsilon_shift": (0, MAX_EPSILON_SHIFT),
        "shift": (BIAS_BITS, LARGEST_SHIFT),
    }


def group_size(value: Value, node: Node) -> int:
    """How many values of a sample are normalized together."""
    return math.prod(value.shape[axis] for axis in node.attrs["axes"])


def fits_integers(value: Value, node: Node) -> bool:
    """Whether integers hold the moments of what the `normalize` node, which reads `value`, takes together."""
    return value.grid is None or group_size(value, node) <= GROUP_LIMITS[value.grid.dtype]


def _rounded_to_16_bits(real: float) -> tuple[int, int]:
    """(m, s) with m * 2^s nearest to `real`: at least 1, as it is divided by, and at most 65535 * 2^45.

    An input that was never seen to move has so fine a grid that epsilon would be larger; it stays small
    in the output either way.
    """
    _, exponent = math.frexp(real)
    shift = min(max(exponent - MULTIPLIER_BITS, 0), MAX_EPSILON_SHIFT)
    return int(saturate(round_half_up(math.ldexp(real, -shift)), 1, (1 << MULTIPLIER_BITS) - 1)), shift


def _affine(low: Lowering, node: Node, y: Grid) -> tuple[Array, Array, int]:
    """(multiplier int32, bias int32, shift) of one entry a channel, or one for all.

    All channels share the shift of the largest ratio, as terms of a sum do: its error is the one that shows.
    """
    gamma, beta = (_vector(low, node, role, default) for role, default in (("gamma", 1.0), ("beta", 0.0)))
    ratio = gamma / (y.scale * (1 << NORMAL_BITS))
    _, exponent = math.frexp(float(np.abs(ratio).max(initial=0.0)))
    if exponent > MULTIPLIER_BITS - BIAS_BITS:
        raise ValueError(f"a deviation takes {np.abs(gamma).max() / y.scale:.3g} steps of the output")
    shift = min(MULTIPLIER_BITS - exponent, LARGEST_SHIFT)
    multiplier: Array = round_half_up(ratio * 2.0**shift)
    bias: Array = saturate(round_half_up(beta / y.scale * (1 << BIAS_BITS)), -BIAS_LIMIT, BIAS_LIMIT)
    channels = max(multiplier.size, bias.size)
    multiplier, bias = (np.broadcast_to(a, (channels,)).astype(np.int32) for a in (multiplier, bias))
    return multiplier, bias, shift


def with_real_numbers(graph: Graph, node: Node) -> tuple[Node, dict[str, FloatArray]]:
    """A `q.normalize` node with the `epsilon` that its integers stand for; its gamma and beta."""
    value, y = graph.values[node.inputs[0]], graph.values[node.output].grid
    assert value.grid is not None, "integer values carry a grid"
    assert y is not None, "integer values carry a grid"
    a, steps = node.attrs, group_size(value, node) / value.grid.scale * 2.0 ** node.attrs["root_shift"]
    multiplier, bias = (graph.weights[node.params[role]].decode() for role in ("multiplier", "bias"))
    vectors = {
        "gamma": multiplier.astype(np.float64) * y.scale * 2.0 ** (NORMAL_BITS - a["shift"]),
        "beta": bias.astype(np.float64) * y.scale / (1 << BIAS_BITS),
    }
    return replace(
        node, attrs={**a, "epsilon": math.ldexp(a["epsilon"], a["epsilon_shift"]) / steps**2}
    ), vectors


def _vector(low: Lowering, node: Node, role: str, default: float) -> FloatArray:
    if role not in node.params:
        return np.array([default])
    return low.source.weights[node.params[role]].decode().astype(np.float64)


NONLINEAR_RULES: Mapping[str, Rule] = {"softmax": softmax, "normalize": normalize}
