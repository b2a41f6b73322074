"""ONNX operators that normalize, or reduce axes to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from smidgen.load import compose
from smidgen.load.onnx_call import Call, Handler, Placed
from smidgen.load.source import Constant, NotCaptured, Source

Reduction = Callable[[Source, str, Sequence[int], bool, str], str]


def _from_axis(call: Call) -> range:
    """The axes of a sample from the attribute `axis` on."""
    first = call.axis(int(call.attrs.get("axis", -1)))
    return range(first, call.source.rank(call.x))


def _layer_norm(call: Call) -> list[str]:
    epsilon = float(call.attrs.get("epsilon", 1e-5))
    normal = call.source.normalize(call.x, _from_axis(call), epsilon, call.name)
    return [compose.scaled_and_shifted(call.source, normal, call.constant(1), call.constant(2), call.name)]


def _rms_norm(call: Call) -> str:
    epsilon = float(call.attrs.get("epsilon", 1e-5))
    normal = call.source.normalize(call.x, _from_axis(call), epsilon, call.name, centered=False)
    return compose.scaled_and_shifted(call.source, normal, call.constant(1), None, call.name)


def _instance_norm(call: Call) -> str:
    return _grouped(call, call.source.shape(call.x)[0], call.needed(1), call.needed(2))


def _group_norm(call: Call) -> str:
    """Up to operator set 20 scale and bias had one entry a group."""
    groups = int(call.attrs["num_groups"])
    each = call.source.shape(call.x)[0] // groups if call.opset < 21 else 1
    scale, bias = (Constant(c.array.repeat(each), c.name) for c in (call.needed(1), call.needed(2)))
    return _grouped(call, groups, scale, bias)


def _grouped(call: Call, groups: int, scale: Constant, bias: Constant) -> str:
    epsilon = float(call.attrs.get("epsilon", 1e-5))
    return compose.group_norm(call.source, call.x, groups, scale, bias, epsilon, call.name)


def _mean_variance(call: Call) -> str:
    """Over positions, and the batch unless told otherwise."""
    axes = tuple(call.axis(axis) for axis in call.attrs.get("axes", (0, 2, 3)))
    return call.source.normalize(call.x, axes, 1e-18, call.name)


def _lp_norm(call: Call) -> str:
    axis, order = call.axis(int(call.attrs.get("axis", -1))), float(call.attrs.get("p", 2))
    return compose.lp_normalize(call.source, call.x, axis, order, call.name)


def _reduced(reduction: Reduction) -> Handler:
    """`reduction(source, x, axes, keepdims, name)` over the axes that the operator names."""

    def handle(call: Call) -> str | Placed:
        axes = call.integers("axes", 1)
        if not axes and call.attrs.get("noop_with_empty_axes") and reduction in _IDENTICAL:
            return call.x
        if not axes:
            raise NotCaptured("it reduces over the samples of a batch", "Name the axes to reduce")
        inner, keepdims = tuple(call.axis(axis) for axis in axes), bool(call.attrs.get("keepdims", 1))
        made = reduction(call.source, call.x, inner, keepdims, call.name)
        return made if keepdims else call.without(inner, made)

    return handle


def _mean(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    return source.mean(x, axes, keepdims, name)


def _maximum(source: Source, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
    return source.reduce_max(x, axes, keepdims, name)


def _log_softmax(call: Call) -> str:
    return compose.log_softmax(call.source, call.x, call.axis(int(call.attrs.get("axis", -1))), call.name)


_IDENTICAL = (_mean, _maximum, compose.total, compose.reduce_min, compose.product)
"""Over no axes at all they leave everything as it is."""

NORMALIZE_HANDLERS: Mapping[str, Handler] = {
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "MeanVarianceNormalization": _mean_variance,
    "LpNormalization": _lp_norm,
}
"""These want the batch as the first dimension."""

REDUCE_HANDLERS: Mapping[str, Handler] = {
    "ReduceMean": _reduced(_mean),
    "ReduceSum": _reduced(compose.total),
    "ReduceMax": _reduced(_maximum),
    "ReduceMin": _reduced(compose.reduce_min),
    "ReduceProd": _reduced(compose.product),
    "ReduceL1": _reduced(compose.sum_of_sizes),
    "ReduceL2": _reduced(compose.euclidean),
    "ReduceSumSquare": _reduced(compose.sum_of_squares),
    "ReduceLogSum": _reduced(compose.log_of_sum),
    "ReduceLogSumExp": _reduced(compose.log_of_exponentials),
    "LogSoftmax": _log_softmax,
}
