"""A graph of one integer operator, and random params for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.formats import Format, Grid, Integer
from smidgen.graph import Graph, Node, Value

OUT_ZERO = -5
LO, HI = -100, 117


def one_node(
    op: str,
    shapes: Sequence[tuple[int, ...]],
    params: Mapping[str, np.ndarray | Format],
    zeros: Sequence[int] = (3, -7),
    out_zero: int = OUT_ZERO,
    bits: Sequence[int] = (8,) * 8,
    out_bits: int = 8,
    **attrs: object,
) -> Graph:
    """Inputs x0, x1, … of `shapes` and `bits` with zero points `zeros`; output y."""
    inputs = tuple(f"x{i}" for i in range(len(shapes)))
    values = {
        name: Value(tuple(shape), f"int{width}", Grid(0.5, zero, width))
        for name, shape, zero, width in zip(inputs, shapes, zeros, bits, strict=False)
    }
    values["y"] = Value((), f"int{out_bits}", Grid(0.5, out_zero, out_bits))
    weights = {role: p if isinstance(p, Format) else Integer(p) for role, p in params.items()}
    node = Node("n", op, inputs, ("y",), {role: role for role in params}, attrs)
    graph = Graph("one", (node,), values, weights, inputs, ("y",)).inferred()
    graph.check()
    return graph


def random_ratios(rng: np.random.Generator, n: int, low: int = 14, high: int = 30) -> dict[str, np.ndarray]:
    return {
        "multiplier": rng.integers(0, 65536, n).astype(np.uint16),
        "shift": rng.integers(low, high + 1, n).astype(np.uint8),
    }


def ratio_of(params: Mapping[str, np.ndarray]):
    """channel -> (M, s), with a single entry serving all."""
    multiplier, shift = params["multiplier"], params["shift"]
    return lambda i: (int(multiplier[i % len(multiplier)]), int(shift[i % len(shift)]))


def random_int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8)


def random_integers(rng: np.random.Generator, bits: int, *shape: int) -> np.ndarray:
    """Values of a grid of 8 or 16 bits, its ends included often."""
    half = 1 << (bits - 1)
    ends = rng.choice([-half, half - 1, 0], shape)
    drawn = rng.integers(-half, half, shape)
    return np.where(rng.random(shape) < 0.2, ends, drawn).astype(f"int{bits}")
