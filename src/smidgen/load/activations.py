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


def softplus(source: Source, x: str, beta: float, name: str) -> str:
    """log(1 + e^(beta x)) / beta."""
    made = source.op("softplus", [source.scale(x, beta, f"{name}.in")], name)
    return source.scale(made, 1 / beta, f"{name}.out")


def elu(source: Source, x: str, alpha: float, scale: float, inner: float, name: str) -> str:
    """scale * (x where it is positive, else alpha * (e^(inner x) - 1))."""
    if alpha == inner == 1:
        return source.scale(source.op("elu", [x], name), scale, f"{name}.scaled")
    mirrored = source.op("relu", [source.scale(x, -1.0, f"{name}.mirror")], f"{name}.below")
    bent = source.op("elu", [source.scale(mirrored, -inner, f"{name}.in")], f"{name}.bent")
    part = source.scale(bent, alpha, f"{name}.part")
    both = source.add(source.op("relu", [x], name), part, f"{name}.sum")
    return source.scale(both, scale, f"{name}.scaled")


def shrunk(source: Source, x: str, edge: float, bias: float, name: str) -> str:
    """x - bias above `edge`, x + bias below -`edge`, else 0."""
    if edge == bias:
        above = source.op("relu", [source.shift(x, -edge, f"{name}.high")], f"{name}.above")
        low = source.shift(source.scale(x, -1.0, f"{name}.mirror"), -edge, f"{name}.low")
        return source.subtract(above, source.op("relu", [low], f"{name}.below"), name)
    over = source.shift(source.op("abs", [x], f"{name}.size"), -edge, f"{name}.over")
    towards = source.scale(source.op("sign", [x], f"{name}.sign"), bias, f"{name}.bias")
    moved = source.subtract(x, towards, f"{name}.moved") if bias else x
    return source.mul(moved, source.op("step", [over], f"{name}.outside"), name)
