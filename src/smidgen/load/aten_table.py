"""ATen operators as graph operators: a table from an operator's name to a function of its call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.load.activations import leaky_relu
from smidgen.load.arrange import pad_with_copies
from smidgen.load.aten_arrange import ARRANGE_HANDLERS, ARRANGE_MOVES
from smidgen.load.aten_call import Call, Handler
from smidgen.load.aten_elementwise import ELEMENTWISE_HANDLERS
from smidgen.load.aten_moves import MOVE_HANDLERS
from smidgen.load.aten_normalize import NORMALIZE_HANDLERS, REDUCE_HANDLERS
from smidgen.load.aten_products import PRODUCT_HANDLERS
from smidgen.load.aten_recurrent import RECURRENT_HANDLERS
from smidgen.load.source import Constant, NotCaptured, Operand
from smidgen.load.upsampling import conv_transpose
from smidgen.load.window_pads import ceil_pads, same_pads


def _conv(call: Call) -> str:
    a = call.args
    if a.get("transposed"):
        return _conv_transpose(call)
    weight = call.needed("weight")
    kernel, space = weight.array.shape[2:], call.source.shape(call.x)[1:]
    stride, dilation = _each(a["stride"], len(kernel)), _each(a["dilation"], len(kernel))
    if "padding" in call.text:
        same = call.text["padding"] == "same"
        padding = [
            same_pads(n, k, s, d) if same else (0, 0)
            for n, k, s, d in zip(space, kernel, stride, dilation, strict=True)
        ]
    else:
        padding = [(p, p) for p in _each(a["padding"], len(kernel))]
    return call.source.conv(
        call.x, weight, call.constant("bias"), stride, padding, dilation, a["groups"], call.name
    )


def _conv_transpose(call: Call) -> str:
    a, weight = call.args, call.needed("weight")
    rank = weight.array.ndim - 2
    stride, padding, extra, dilation = (
        _each(a[key], rank) for key in ("stride", "padding", "output_padding", "dilation")
    )
    cut = [(p, p) for p in padding]
    bias = call.constant("bias")
    return conv_transpose(
        call.source, call.x, weight, bias, stride, cut, extra, dilation, a["groups"], call.name
    )


def _linear(call: Call) -> str:
    return call.source.linear(call.x, call.needed("weight"), call.constant("bias"), call.name)


def _batch_norm(call: Call) -> str:
    if call.args.get("training"):
        raise NotCaptured("batch normalization in training mode", "Call .eval() before exporting")
    roles = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
    statistics = {role: call.constant(key) for role, key in roles.items()}
    return call.source.batch_norm(call.x, statistics, call.args["eps"], call.name)


def _pool(kind: str) -> Handler:
    def handle(call: Call) -> str:
        a, space = call.args, call.source.shape(call.x)[1:]
        kernel = _each(a["kernel_size"], len(space))
        stride = _each(a["stride"] or kernel, len(space))
        if any(d != 1 for d in _each(a.get("dilation", 1), len(space))) or a.get("divisor_override"):
            raise NotCaptured("pooling with dilation or a divisor of its own")
        padding = [(p, p) for p in _each(a["padding"], len(space))]
        count = bool(a.get("count_include_pad"))
        if a["ceil_mode"]:
            sizes = zip(space, kernel, stride, padding, strict=True)
            ceiled = [ceil_pads(n, k, s, p) for n, k, s, p in sizes]
            if count and ceiled != padding:
                raise NotCaptured("ceil mode that counts padding", "Set ceil_mode=False")
            padding = ceiled
        return call.source.pool(kind, call.x, kernel, stride, padding, call.name, count and _any(padding))

    return handle


def _adaptive_pool(kind: str) -> Handler:
    def handle(call: Call) -> str:
        space = call.source.shape(call.x)[1:]
        out = call.shape[1:]
        if any(n % m for n, m in zip(space, out, strict=True)):
            raise NotCaptured(f"adaptive pooling of {list(space)} to {list(out)}", "Choose sizes that divide")
        if kind == "avg" and set(out) == {1}:
            return call.source.mean(call.x, range(1, len(space) + 1), True, call.name)
        kernel = [n // m for n, m in zip(space, out, strict=True)]
        return call.source.pool(kind, call.x, kernel, kernel, [(0, 0)] * len(space), call.name)

    return handle


def _pad(call: Call) -> str:
    mode = call.text.get("mode", "constant")
    given, rank = call.args["pad"], call.source.rank(call.x)
    if len(given) > 2 * rank and any(given[2 * rank :]):
        raise NotCaptured("it pads the batch dimension")
    pads = [(0, 0)] * rank
    for i in range(min(len(given) // 2, rank)):  # the last axis comes first
        pads[rank - 1 - i] = (given[2 * i], given[2 * i + 1])
    if mode != "constant":
        return pad_with_copies(call.source, call.x, pads, mode, call.name)
    return call.source.pad(call.x, pads, call.args["value"] or 0.0, call.name)


def _add(sign: float) -> Handler:
    def handle(call: Call) -> str:
        a, b = call.operand("self"), call.operand("other")
        scaled = _times(call, b, float(call.args.get("alpha", 1)))
        join = call.source.add if sign > 0 else call.source.subtract
        return join(a, scaled, call.name)

    return handle


def _reverse_subtract(call: Call) -> str:
    scaled = _times(call, call.operand("self"), float(call.args.get("alpha", 1)))
    return call.source.subtract(call.operand("other"), scaled, call.name)


def _mul(call: Call) -> str:
    return call.source.mul(call.operand("self"), call.operand("other"), call.name)


def _neg(call: Call) -> str:
    return call.source.scale(call.x, -1.0, call.name)


def _softmax(call: Call) -> str:
    return call.source.softmax(call.x, call.axis(call.args["dim"]), call.name)


def _prelu(call: Call) -> str:
    slope, rank = call.needed("weight"), call.source.rank(call.x)
    return leaky_relu(call.source, call.x, Constant(slope.array.reshape(-1, *(1,) * (rank - 1))), call.name)


def _leaky_relu(call: Call) -> str:
    return leaky_relu(call.source, call.x, Constant(np.array(call.args["negative_slope"])), call.name)


def _same(call: Call) -> str:
    return call.x


def _dropout(call: Call) -> str:
    if call.args.get("train"):
        raise NotCaptured("dropout in training mode", "Call .eval() before exporting")
    return call.x


def _embedding(call: Call) -> str:
    indices = call.args["indices"]
    if not isinstance(indices, str):
        raise NotCaptured("an operation on a constant")
    return call.source.embedding(indices, call.needed("weight"), call.name)


def _times(call: Call, operand: Operand, factor: float) -> Operand:
    if factor == 1.0:
        return operand
    if isinstance(operand, Constant):
        return Constant(operand.array * factor)
    return call.source.scale(operand, factor, f"{call.name}.scaled")


def _each(given: Sequence[int] | int, rank: int) -> tuple[int, ...]:
    values = (given,) if isinstance(given, int) else tuple(given)
    return values * rank if len(values) == 1 else values


def _any(padding: Sequence[tuple[int, int]]) -> bool:
    return any(before or after for before, after in padding)


_IDENTITIES = ("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "positive", "to", "_to_copy")
_DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout")

HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _conv_transpose),
    "linear": _linear,
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool2d_with_indices"), _pool("max")),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _pool("avg")),
    **dict.fromkeys(
        ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive_pool("avg")
    ),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), _adaptive_pool("max")),
    **REDUCE_HANDLERS,
    **NORMALIZE_HANDLERS,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "add": _add(1.0),
    "sub": _add(-1.0),
    "rsub": _reverse_subtract,
    "mul": _mul,
    "neg": _neg,
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    **ELEMENTWISE_HANDLERS,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    **dict.fromkeys(_DROPOUTS, _dropout),
    **dict.fromkeys(_IDENTITIES, _same),
    **PRODUCT_HANDLERS,
    **ARRANGE_HANDLERS,
    **MOVE_HANDLERS,
    "embedding": _embedding,
    **RECURRENT_HANDLERS,
}

# Operators that mean the same for a sample wherever the batch is; the others want it first.
BATCH_ANYWHERE = frozenset(
    {
        *("linear", "add", "sub", "rsub", "mul", "neg", "softmax", "_softmax", "leaky_relu", "embedding"),
        *(*PRODUCT_HANDLERS, *ELEMENTWISE_HANDLERS, *REDUCE_HANDLERS, *ARRANGE_MOVES),
        *(*_DROPOUTS, *_IDENTITIES, *MOVE_HANDLERS, *RECURRENT_HANDLERS),
    }
)
