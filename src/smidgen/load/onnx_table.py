"""ONNX operators as graph operators: a table from an operator's name to a function of its call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from smidgen.load.arrange import pad_with_copies
from smidgen.load.onnx_arrange import ARRANGE_HANDLERS
from smidgen.load.onnx_call import Call, Handler
from smidgen.load.onnx_elementwise import ELEMENTWISE_HANDLERS
from smidgen.load.onnx_moves import MOVE_HANDLERS
from smidgen.load.onnx_normalize import NORMALIZE_HANDLERS, REDUCE_HANDLERS
from smidgen.load.onnx_products import PRODUCT_HANDLERS
from smidgen.load.onnx_recurrent import RECURRENT_HANDLERS
from smidgen.load.source import Constant, NotCaptured
from smidgen.load.upsampling import conv_transpose, cut_to
from smidgen.load.window_pads import Pair, ceil_pads, same_pads


def _conv(call: Call) -> str:
    weight = call.needed(1)
    kernel = weight.array.shape[2:]
    stride, dilation = _each(call, "strides"), _each(call, "dilations")
    pads = _pads(call, kernel, stride, dilation)
    groups = int(call.attrs.get("group", 1))
    return call.source.conv(call.x, weight, call.constant(2), stride, pads, dilation, groups, call.name)


def _conv_transpose(call: Call) -> str:
    weight = call.needed(1)
    kernel, groups = weight.array.shape[2:], int(call.attrs.get("group", 1))
    stride, dilation = _each(call, "strides"), _each(call, "dilations")
    extra = tuple(call.attrs.get("output_padding") or (0,) * len(kernel))
    pads = _pads(call, kernel, stride, dilation)
    rule = call.text("auto_pad", "NOTSET")
    if "output_shape" in call.attrs or rule.startswith("SAME"):
        sizes = list(call.attrs.get("output_shape") or (n * s for n, s in zip(call.space, stride)))
        spans = zip(call.space, kernel, stride, dilation, extra, sizes[-len(kernel) :], strict=True)
        pads = [cut_to(n, k, s, d, e, out, rule == "SAME_UPPER") for n, k, s, d, e, out in spans]
    bias = call.constant(2)
    return conv_transpose(call.source, call.x, weight, bias, stride, pads, extra, dilation, groups, call.name)


def _gemm(call: Call) -> str:
    """alpha * x @ B + beta * C with constants B and C."""
    if call.attrs.get("transA"):
        raise NotCaptured("a transposed batch", "Keep the batch first")
    weight, bias = call.needed(1), call.constant(2)
    scaled = Constant(weight.array * call.attrs.get("alpha", 1.0), weight.name)
    if bias is not None:
        if bias.array.ndim > 1 and bias.array.shape[0] != 1:
            raise NotCaptured("a bias that differs between samples")
        bias = Constant(bias.array * call.attrs.get("beta", 1.0), bias.name)
    return call.source.linear(call.x, scaled, bias, call.name, transposed=not call.attrs.get("transB"))


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


def _neg(call: Call) -> str:
    return call.source.scale(call.x, -1.0, call.name)


def _pad(call: Call) -> str:
    rank = call.source.rank(call.x)
    given, axes = call.integers("pads", 1) or (), call.integers("axes", 3)
    numbers = [axis % (rank + 1) for axis in (range(rank + 1) if axes is None else axes)]
    pads = dict(zip(numbers, zip(given[: len(numbers)], given[len(numbers) :], strict=True), strict=True))
    if any(pads.get(0, (0, 0))):
        raise NotCaptured("it pads the batch dimension")
    around = [pads.get(axis + 1, (0, 0)) for axis in range(rank)]
    if (mode := call.text("mode", "constant")) != "constant":
        return pad_with_copies(call.source, call.x, around, mode, call.name)
    return call.source.pad(call.x, around, call.scalar("value", 2) or 0.0, call.name)


def _dropout(call: Call) -> str:
    training = call.constant(2)
    if training is not None and training.array.any():
        raise NotCaptured("dropout in training mode", "Export in evaluation mode")
    return call.x


def _each(call: Call, key: str) -> tuple[int, ...]:
    return tuple(call.attrs.get(key) or (1,) * len(call.space))


def _pads(call: Call, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[Pair]:
    rule, rank = call.text("auto_pad", "NOTSET"), len(kernel)
    if rule.startswith("SAME"):
        first = rule == "SAME_LOWER"
        sizes = zip(call.space, kernel, stride, dilation, strict=True)
        return [same_pads(*size, extra_first=first) for size in sizes]
    given = call.attrs.get("pads") if rule == "NOTSET" else None
    flat = tuple(given) if given else (0,) * (2 * rank)
    return list(zip(flat[:rank], flat[rank:], strict=True))


HANDLERS: Mapping[str, Handler] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "BatchNormalization": _batch_norm,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("avg"),
    "GlobalAveragePool": _global_mean,
    "GlobalMaxPool": _global_max,
    **REDUCE_HANDLERS,
    **NORMALIZE_HANDLERS,
    **ELEMENTWISE_HANDLERS,
    "Softmax": _softmax,
    "Add": _add,
    "Sum": _add,
    "Sub": _subtract,
    "Mul": _mul,
    "Neg": _neg,
    "Pad": _pad,
    "Cast": lambda call: call.x,
    "Dropout": _dropout,
    **PRODUCT_HANDLERS,
    **ARRANGE_HANDLERS,
    **MOVE_HANDLERS,
    **RECURRENT_HANDLERS,
}

# Operators that mean the same for a sample wherever the batch is; the others want it first.
BATCH_ANYWHERE = frozenset(
    {
        *(*PRODUCT_HANDLERS, "Tile", "Add", "Sum", "Sub", "Mul", "Neg", "Cast", "Dropout"),
        *(*ELEMENTWISE_HANDLERS, *REDUCE_HANDLERS, *MOVE_HANDLERS, *RECURRENT_HANDLERS),
    }
)
