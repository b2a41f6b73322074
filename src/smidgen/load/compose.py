"""Operators of both loaders in terms of the graph's own: logic on 0 and 1, choices, quotients, powers, norms.

Truth values are the real numbers 0 and 1. All functions take and return names of values; `name` is for the
result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smidgen.load.source import Constant, NotCaptured, Operand, Source
from smidgen.numerics import Array

LONGEST_PRODUCT = 16

# Comparisons and logic


def greater(source: Source, a: Operand, b: Operand, name: str) -> str:
    """a > b."""
    return source.op("step", [source.subtract(a, b, f"{name}.difference")], name)


def greater_equal(source: Source, a: Operand, b: Operand, name: str) -> str:
    return negation(source, greater(source, b, a, f"{name}.less"), name)


def differs(source: Source, a: Operand, b: Operand, name: str) -> str:
    a, b = _real(a), _real(b)
    apart = source.op("abs", [source.subtract(a, b, f"{name}.difference")], f"{name}.apart")
    return source.op("step", [apart], name)


def _real(operand: Operand) -> Operand:
    """True and false as 1 and 0."""
    if isinstance(operand, Constant) and operand.array.dtype == np.bool_:
        return Constant(operand.array.astype(np.float32), operand.name)
    return operand


def equal(source: Source, a: Operand, b: Operand, name: str) -> str:
    return negation(source, differs(source, a, b, f"{name}.differs"), name)


def negation(source: Source, a: str, name: str) -> str:
    """1 - a."""
    return source.subtract(Constant(np.ones(())), a, name)


def either(source: Source, a: Operand, b: Operand, name: str) -> str:
    return source.op("step", [source.add(a, b, f"{name}.sum")], name)


# Choices


def where(source: Source, condition: Operand, a: Operand, b: Operand, name: str) -> str:
    """a where the condition is true, else b, as c a + (1 - c) b. Infinite constants become finite."""
    if isinstance(condition, Constant):
        return _fixed_choice(source, condition.array != 0, a, b, name)
    first, second = _finite(a), _finite(b)
    if isinstance(first, Constant) and isinstance(second, Constant):
        gap = Constant(first.array.astype(np.float64) - second.array)
        return source.add(source.mul(condition, gap, f"{name}.gap"), second, name)
    other = negation(source, condition, f"{name}.other")
    kept = source.mul(condition, first, f"{name}.0")
    return source.add(kept, source.mul(other, second, f"{name}.1"), name)


def _fixed_choice(source: Source, kept: Array, a: Operand, b: Operand, name: str) -> str:
    if isinstance(a, Constant) and not isinstance(b, Constant):
        return _fixed_choice(source, ~kept, b, a, name)
    if isinstance(a, Constant):
        raise NotCaptured("an operation on constants")
    if isinstance(b, Constant) and b.array.size == 1:
        return source.fill(a, kept, float(b.array.item()), name)
    part = source.mul(a, Constant(kept.astype(np.float32)), f"{name}.0")
    other = Constant((~kept).astype(np.float32))
    rest = (
        Constant(_finite_array(b) * other.array)
        if isinstance(b, Constant)
        else source.mul(b, other, f"{name}.1")
    )
    return source.add(part, rest, name)


def _finite(operand: Operand) -> Operand:
    return Constant(_finite_array(operand), operand.name) if isinstance(operand, Constant) else operand


def _finite_array(constant: Constant) -> Array:
    limits = np.finfo(np.float32)
    return np.clip(constant.array, limits.min, limits.max)


def maximum(source: Source, a: Operand, b: Operand, name: str) -> str:
    """b + relu(a - b), for constants without an infinity."""
    a, b = (b, a) if isinstance(a, Constant) else (a, b)
    above = source.op("relu", [source.subtract(a, b, f"{name}.difference")], f"{name}.above")
    return source.add(b, above, name)


def minimum(source: Source, a: Operand, b: Operand, name: str) -> str:
    """b - relu(b - a)."""
    a, b = (b, a) if isinstance(a, Constant) else (a, b)
    below = source.op("relu", [source.subtract(b, a, f"{name}.difference")], f"{name}.below")
    return source.subtract(b, below, name)


# Arithmetic


def divide(source: Source, a: Operand, b: Operand, name: str) -> str:
    if isinstance(b, Constant):
        if not np.all(b.array):
            raise NotCaptured("division by zero", "Divide by other numbers")
        return source.mul(a, Constant(1.0 / b.array.astype(np.float64)), name)
    return source.mul(a, source.op("reciprocal", [b], f"{name}.inverse"), name)


def truncated(source: Source, x: str, name: str) -> str:
    """x without its fraction."""
    whole = source.op("floor", [source.op("abs", [x], f"{name}.size")], f"{name}.whole")
    return source.mul(source.op("sign", [x], f"{name}.sign"), whole, name)


def remainder(source: Source, a: Operand, b: Operand, name: str, rounded: str = "floor") -> str:
    """a - b round(a / b), rounded by floor (the sign of b) or by truncation (the sign of a)."""
    if not isinstance(b, Constant) or (np.frexp(np.abs(b.array))[0] != 0.5).any():
        reason = "a remainder of a division that rounds: 49 * (1 / 49) is below 1 in float32"
        raise NotCaptured(reason, "Divide by a constant power of two")
    quotient = divide(source, a, b, f"{name}.quotient")
    if rounded == "floor":
        whole = source.op("floor", [quotient], f"{name}.floor")
    else:
        whole = truncated(source, quotient, f"{name}.trunc")
    return source.subtract(a, source.mul(whole, b, f"{name}.multiple"), name)


def power(source: Source, x: Operand, exponent: Operand, name: str) -> str:
    """x ** exponent for a constant on one side; whole exponents up to 4 by products."""
    if isinstance(x, Constant) and not isinstance(exponent, Constant):
        if x.array.size != 1 or x.array.item() <= 0:
            raise NotCaptured("a power of several, or of negative, constants", "Use exp")
        scaled = source.scale(exponent, math.log(x.array.item()), f"{name}.exponent")
        return source.op("exp", [scaled], name)
    if isinstance(x, Constant) or not isinstance(exponent, Constant) or exponent.array.size != 1:
        raise NotCaptured("a power whose exponent is computed, or one of several", "Use one constant")
    number = float(exponent.array.item())
    named = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if number in named:
        return source.op(named[number], [x], name)
    if number in (1.0, 2.0, 3.0, 4.0):
        return _whole_power(source, x, int(number), name)
    if number == int(number):  # of the size, and the sign for odd ones
        size = source.op("abs", [x], f"{name}.size")
        positive = _real_power(source, size, number, name)
        return source.mul(positive, source.op("sign", [x], f"{name}.sign"), name) if number % 2 else positive
    return _real_power(source, x, number, name)


def _whole_power(source: Source, x: str, number: int, name: str) -> str:
    if number == 1:
        return x
    square = source.mul(x, x, f"{name}.square" if number > 2 else name)
    return square if number == 2 else source.mul(square, x if number == 3 else square, name)


def _real_power(source: Source, x: str, number: float, name: str) -> str:
    logarithm = source.op("log", [x], f"{name}.log")
    return source.op("exp", [source.scale(logarithm, number, f"{name}.exponent")], name)


# Reductions. `axes` are those of a sample.


def total(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    count = math.prod(source.shape(x)[axis] for axis in axes)
    return source.scale(source.mean(x, axes, keepdims, f"{name}.mean"), float(count), name)


def reduce_min(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    mirrored = source.reduce_max(source.scale(x, -1.0, f"{name}.mirror"), axes, keepdims, f"{name}.max")
    return source.scale(mirrored, -1.0, name)


def sum_of_sizes(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    return total(source, source.op("abs", [x], f"{name}.size"), axes, keepdims, name)


def sum_of_squares(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    return total(source, source.mul(x, x, f"{name}.square"), axes, keepdims, name)


def euclidean(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    return source.op("sqrt", [sum_of_squares(source, x, axes, keepdims, f"{name}.squares")], name)


def log_of_sum(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    return source.op("log", [total(source, x, axes, keepdims, f"{name}.sum")], name)


def log_of_exponentials(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    """top + log(sum(exp(x - top))), which does not overflow."""
    top = source.reduce_max(x, axes, True, f"{name}.top")
    below = source.op("exp", [source.subtract(x, top, f"{name}.below")], f"{name}.exp")
    rest = log_of_sum(source, below, axes, keepdims, f"{name}.rest")
    kept = [n for axis, n in enumerate(source.shape(x)) if axis not in axes]
    return source.add(top if keepdims else source.reshape(top, kept, f"{name}.flat"), rest, name)


def log_softmax(source: Source, x: str, axis: int, name: str) -> str:
    """(x - top) - log(sum(exp(x - top))): x - (top + log(..)) would lose the digits of a large top."""
    top = source.reduce_max(x, [axis], True, f"{name}.top")
    below = source.subtract(x, top, f"{name}.below")
    powers = source.op("exp", [below], f"{name}.exp")
    return source.subtract(below, log_of_sum(source, powers, [axis], True, f"{name}.rest"), name)


def product(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    """All factors, one after the other."""
    shape = source.shape(x)
    if math.prod(shape[axis] for axis in axes) > LONGEST_PRODUCT:
        raise NotCaptured(f"a product of more than {LONGEST_PRODUCT} factors", "Add logarithms instead")
    for axis in axes:
        parts = source.split(x, axis, (1,) * shape[axis], f"{name}.{axis}")
        for number, part in enumerate(parts):
            x = part if not number else source.mul(x, part, f"{name}.{axis}.product{number}")
    kept = [n for axis, n in enumerate(shape) if axis not in axes]
    return x if keepdims else source.reshape(x, kept, name)


# Normalization


def scaled_and_shifted(
    source: Source, x: str, weight: Constant | None, bias: Constant | None, name: str, axis: int | None = None
) -> str:
    """x * weight + bias; with `axis` vectors along it, else tensors of the last axes."""

    def placed(constant: Constant) -> Constant:
        if axis is None:
            return constant
        behind = (1,) * (source.rank(x) - axis - 1)
        return Constant(constant.array.reshape(-1, *behind), constant.name)

    if weight is not None:
        x = source.mul(x, placed(weight), f"{name}.scale")
    return x if bias is None else source.add(x, placed(bias), f"{name}.shift")


def group_norm(
    source: Source,
    x: str,
    groups: int,
    weight: Constant | None,
    bias: Constant | None,
    epsilon: float,
    name: str,
) -> str:
    """[C, *space]: normalized over the channels of a group and all positions."""
    channels, *space = source.shape(x)
    if groups == channels and space:
        made = source.normalize(x, range(1, len(space) + 1), epsilon, name)
    else:
        grouped = source.reshape(x, (groups, channels // groups, *space), f"{name}.groups")
        normal = source.normalize(grouped, range(1, len(space) + 2), epsilon, name)
        made = source.reshape(normal, (channels, *space), f"{name}.channels")
    return scaled_and_shifted(source, made, weight, bias, name, axis=0)


def lp_normalize(source: Source, x: str, axis: int, order: float, name: str) -> str:
    """x / its norm along an axis; zeros stay zeros."""
    if order == 2:
        size = float(np.sqrt(source.shape(x)[axis]))
        return source.scale(source.normalize(x, [axis], 1e-24, f"{name}.rms", centered=False), 1 / size, name)
    if order != 1:
        raise NotCaptured(f"a norm of order {order:g}", "Use order 1 or 2")
    norm = source.shift(sum_of_sizes(source, x, [axis], True, f"{name}.norm"), 1e-12, f"{name}.positive")
    return divide(source, x, norm, name)
