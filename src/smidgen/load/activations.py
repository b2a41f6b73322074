"""Nonlinear functions in terms of the graph's own operators."""

from __future__ import annotations

import math

import numpy as np

from smidgen.load.source import Constant, NotCaptured, Source


def activation(source: Source, op: str, x: str, name: str) -> str:
    """`op` is one of graph.ops.ACTIVATIONS."""
    return source.op(op, [x], name)


def clamp(source: Source, x: str, low: float | None, high: float | None, name: str) -> str:
    """min(max(x, low), high) by relu or relu6: exact for those two themselves, else to float rounding."""
    lo, hi = -math.inf if low is None else float(low), math.inf if high is None else float(high)
    if not lo < hi:
        raise NotCaptured(f"clamping to the empty range [{lo:g}, {hi:g}]")
    if math.isinf(lo) and math.isinf(hi):
        return x
    if math.isinf(hi):
        positive = source.op("relu", [source.shift(x, -lo, f"{name}.above")], name)
        return source.shift(positive, lo, f"{name}.back")
    if math.isinf(lo):
        mirrored = clamp(source, source.scale(x, -1.0, f"{name}.mirror"), -hi, None, name)
        return source.scale(mirrored, -1.0, f"{name}.unmirror")
    width = (hi - lo) / 6.0
    unit = source.scale(source.shift(x, -lo, f"{name}.above"), 1.0 / width, f"{name}.narrow")
    back = source.scale(source.op("relu6", [unit], name), width, f"{name}.widen")
    return source.shift(back, lo, f"{name}.back")


def leaky_relu(source: Source, x: str, slope: Constant, name: str) -> str:
    """relu(x) - slope * relu(-x); `slope` is one number, or one a channel broadcast to the sample."""
    negative = source.op("relu", [source.scale(x, -1.0, f"{name}.mirror")], f"{name}.below")
    part = source.mul(negative, Constant(-np.asarray(slope.array)), f"{name}.slope")
    return source.add(source.op("relu", [x], name), part, f"{name}.sum")


def silu(source: Source, x: str, name: str) -> str:
    """x * sigmoid(x)."""
    return source.mul(x, source.op("sigmoid", [x], f"{name}.gate"), name)


def hard_sigmoid(source: Source, x: str, alpha: float, beta: float, name: str) -> str:
    """clamp(alpha x + beta, 0, 1); PyTorch's has alpha = 1/6, beta = 1/2."""
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return source.op("hardsigmoid", [x], name)
    line = source.shift(source.scale(x, alpha, f"{name}.slope"), beta, f"{name}.offset")
    return clamp(source, line, 0.0, 1.0, name)
