"""ONNX operators as graph operators: a table from an operator's name to a function of its call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.load.activations import activation, clamp, hard_sigmoid, leaky_relu, silu
from smidgen.load.onnx_call import Call, Handler, Placed
from smidgen.load.onnx_moves import MOVE_HANDLERS
from smidgen.load.onnx_recurrent import RECURRENT_HANDLERS
from smidgen.load.source import Constant, NotCaptured
from smidgen.load.window_pads import Pair, ceil_pads, same_pads


def _conv(call: Call) -> str:
    weight = call.needed(1)
    kernel = weight.array.shape[2:]
    stride, dilation = _each(call, "strides"), _each(call, "dilations")
    pads = _pads(call, kernel, stride, dilation)
    groups = int(call.attrs.get("group", 1))
    return call.source.conv(call.x, weight, call.constant(2), stride, pads, dilation, groups, call.name)


def _gemm(call: Call) -> str:
    """alpha * x @ B + beta * C with constants B and C."""
    if call.attrs.get("transA"):
        raise NotCaptured("a transposed batch", "Keep the batch first")
    weight, bias = call.needed(1), call.constant(2)
    alpha = call.attrs.get("alpha", 1.0)
    scaled = weight if alpha == 1.0 else Constant(weight.array * alpha, weight.name)
    if bias is not None:
        if bias.array.ndim > 1 and bias.array.shape[0] != 1:
            raise NotCaptured("a bias that differs between samples")
        bias = Constant(bias.array * call.attrs.get("beta", 1.0), bias.name)
    return call.source.linear(call.x, scaled, bias, call.name, transposed=not call.attrs.get("transB"))


def _matmul(call: Call) -> str:
    weight = call.needed(1)
    if weight.array.ndim != 2:
        raise NotCaptured(f"a product with a constant of {weight.array.ndim} axes", "Use a linear layer")
    return call.source.linear(call.x, weight, None, call.name, transposed=True)


def _batch_norm(call: Call) -> str:
    if call.attrs.get("training_mode"):
        raise NotCaptured("batch normalization in training mode", "Export in evaluation mode")
    statistics = dict(zip(("gamma", "beta", "mean", "variance"), (call.needed(i) for i in range(1, 5))))
    return call.source.batch_norm(call.x, statistics, call.attrs.get("epsilon", 1e-5), call.name)


def _pool(kind: str) -> Handler:
    def handle(call: Call) -> str:
        space, kernel = call.space, tuple(call.attrs["kernel_shape"])
        stride, dilation = _each(call, "strides"), _each(call, "dilations")
        if set(dilation) != {1}:
            raise NotCaptured("pooling with dilation")
        pads = _pads(call, kernel, stride, dilation)
        count = bool(call.attrs.get("count_include_pad")) and any(a or b for a, b in pads)
        if call.attrs.get("ceil_mode"):
            ceiled = [ceil_pads(*sizes) for sizes in zip(space, kernel, stride, pads, strict=True)]
            if count and ceiled != pads:
                raise NotCaptured("ceil mode that counts padding", "Set ceil_mode=0")
            pads = ceiled
        return call.source.pool(kind, call.x, kernel, stride, pads, call.name, count)

    return handle


def _global_mean(call: Call) -> str:
    return call.source.mean(call.x, range(1, len(call.space) + 1), True, call.name)


def _global_max(call: Call) -> str:
    space = call.space
    return call.source.pool("max", call.x, space, space, [(0, 0)] * len(space), call.name)


def _reduce(call: Call) -> tuple[tuple[int, ...], bool] | None:
    """(axes, keepdims), or None where nothing is to be reduced."""
    axes = call.integers("axes", 1)
    if not axes:
        if call.attrs.get("noop_with_empty_axes"):
            return None
        raise NotCaptured("it reduces over the samples of a batch", "Name the axes to reduce")
    return tuple(call.axis(a) for a in axes), bool(call.attrs.get("keepdims", 1))


def _mean(call: Call) -> str | Placed:
    found = _reduce(call)
    if found is None:
        return call.x
    mean = call.source.mean(call.x, *found, call.name)
    return mean if found[1] else call.without(found[0], mean)


def _sum(call: Call) -> str | Placed:
    found = _reduce(call)
    if found is None:
        return call.x
    count = math.prod(call.source.shape(call.x)[axis] for axis in found[0])
    mean = call.source.mean(call.x, *found, f"{call.name}.mean")
    total = call.source.scale(mean, float(count), call.name)
    return total if found[1] else call.without(found[0], total)


def _clip(call: Call) -> str:
    return clamp(call.source, call.x, call.scalar("min", 1), call.scalar("max", 2), call.name)


def _hard_sigmoid(call: Call) -> str:
    alpha, beta = call.attrs.get("alpha", 0.2), call.attrs.get("beta", 0.5)
    return hard_sigmoid(call.source, call.x, alpha, beta, call.name)


def _leaky_relu(call: Call) -> str:
    return leaky_relu(call.source, call.x, Constant(np.array(call.attrs.get("alpha", 0.01))), call.name)


def _prelu(call: Call) -> str:
    return leaky_relu(call.source, call.x, call.needed(1), call.name)


def _softmax(call: Call) -> str:
    old = call.opset < 13  # flattened all axes from `axis` on
    axis = call.axis(call.attrs.get("axis", 1 if old else -1))
    if old and math.prod(call.source.shape(call.x)[axis + 1 :]) != 1:
        raise NotCaptured("softmax over several axes at once", "Export with operator set 13 or newer")
    return call.source.softmax(call.x, axis, call.name)


def _add(call: Call) -> str:
    total = call.operand(0)
    for index in range(1, len(call.inputs)):
        last = index == len(call.inputs) - 1
        total = call.source.add(total, call.operand(index), call.name if last else f"{call.name}.{index}")
    if not isinstance(total, str):
        raise NotCaptured("an operation on a constant")
    return total


def _subtract(call: Call) -> str:
    return call.source.subtract(call.operand(0), call.operand(1), call.name)


def _mul(call: Call) -> str:
    return call.source.mul(call.operand(0), call.operand(1), call.name)


def _div(call: Call) -> str:
    divisor = call.operand(1)
    if not isinstance(divisor, Constant):
        raise NotCaptured("division by a computed value", "Multiply instead")
    if not np.all(divisor.array):
        raise NotCaptured("division by zero")
    return call.source.mul(call.x, Constant(1.0 / divisor.array.astype(np.float64)), call.name)


def _neg(call: Call) -> str:
    return call.source.scale(call.x, -1.0, call.name)


def _power(call: Call) -> str:
    exponent = call.needed(1).array
    if exponent.size != 1 or exponent.item() != 2:
        raise NotCaptured("a power other than the square")
    return call.source.mul(call.x, call.x, call.name)


def _pad(call: Call) -> str:
    if _text(call, "mode", "constant") != "constant":
        raise NotCaptured(f"padding by {_text(call, 'mode', '')}", "Pad with zeros")
    rank = call.source.rank(call.x)
    given, axes = call.integers("pads", 1) or (), call.integers("axes", 3)
    numbers = [axis % (rank + 1) for axis in (range(rank + 1) if axes is None else axes)]
    pads = dict(zip(numbers, zip(given[: len(numbers)], given[len(numbers) :], strict=True), strict=True))
    if any(pads.get(0, (0, 0))):
        raise NotCaptured("it pads the batch dimension")
    value = call.scalar("value", 2) or 0.0
    return call.source.pad(call.x, [pads.get(axis + 1, (0, 0)) for axis in range(rank)], value, call.name)


def _dropout(call: Call) -> str:
    training = call.constant(2)
    if training is not None and training.array.any():
        raise NotCaptured("dropout in training mode", "Export in evaluation mode")
    return call.x


def _function(op: str) -> Handler:
    return lambda call: activation(call.source, op, call.x, call.name)


def _each(call: Call, key: str) -> tuple[int, ...]:
    return tuple(call.attrs.get(key) or (1,) * len(call.space))


def _text(call: Call, key: str, default: str) -> str:
    value = call.attrs.get(key, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def _pads(call: Call, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[Pair]:
    rule, rank = _text(call, "auto_pad", "NOTSET"), len(kernel)
    if rule.startswith("SAME"):
        first = rule == "SAME_LOWER"
        sizes = zip(call.space, kernel, stride, dilation, strict=True)
        return [same_pads(*size, extra_first=first) for size in sizes]
    given = call.attrs.get("pads") if rule == "NOTSET" else None
    flat = tuple(given) if given else (0,) * (2 * rank)
    return list(zip(flat[:rank], flat[rank:], strict=True))


_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hardswish"}

HANDLERS: Mapping[str, Handler] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("avg"),
    "GlobalAveragePool": _global_mean,
    "GlobalMaxPool": _global_max,
    "ReduceMean": _mean,
    "ReduceSum": _sum,
    **{name: _function(op) for name, op in _ACTIVATIONS.items()},
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Swish": lambda call: silu(call.source, call.x, call.name),
    "Softmax": _softmax,
    "Add": _add,
    "Sum": _add,
    "Sub": _subtract,
    "Mul": _mul,
    "Div": _div,
    "Neg": _neg,
    "Pow": _power,
    "Pad": _pad,
    "Cast": lambda call: call.x,
    "Dropout": _dropout,
    **MOVE_HANDLERS,
    **RECURRENT_HANDLERS,
}

# Operators that mean the same for a sample wherever the batch is; the others want it first.
BATCH_ANYWHERE = frozenset(
    {
        *("MatMul", "ReduceMean", "ReduceSum", *_ACTIVATIONS, "Clip", "HardSigmoid", "LeakyRelu", "Swish"),
        *(
            "Add",
            "Sum",
            "Sub",
            "Mul",
            "Div",
            "Neg",
            "Pow",
            "Cast",
            "Dropout",
            *MOVE_HANDLERS,
            *RECURRENT_HANDLERS,
        ),
    }
)
