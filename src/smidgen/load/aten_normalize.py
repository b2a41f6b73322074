"""ATen operators that normalize, or reduce axes to one number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from smidgen.load import compose
from smidgen.load.aten_call import Call, Handler
from smidgen.load.source import NotCaptured


def _last_axes(call: Call) -> range:
    rank = call.source.rank(call.x)
    return range(rank - len(call.args["normalized_shape"]), rank)


def _layer_norm(call: Call) -> list[str]:
    epsilon = float(call.args["eps"])
    normal = call.source.normalize(call.x, _last_axes(call), epsilon, call.name)
    pair = call.constant("weight"), call.constant("bias")
    return [compose.scaled_and_shifted(call.source, normal, *pair, call.name)]


def _rms_norm(call: Call) -> str:
    given = call.args.get("eps")
    epsilon = 2.0**-23 if given is None else float(given)  # float32's, as PyTorch takes it
    normal = call.source.normalize(call.x, _last_axes(call), epsilon, call.name, centered=False)
    return compose.scaled_and_shifted(call.source, normal, call.constant("weight"), None, call.name)


def _group_norm(call: Call) -> list[str]:
    groups = int(call.args["num_groups"] if "num_groups" in call.args else call.args["group"])
    pair = call.constant("weight"), call.constant("bias")
    return [compose.group_norm(call.source, call.x, groups, *pair, float(call.args["eps"]), call.name)]


def _instance_norm(call: Call) -> str:
    pair = call.constant("weight"), call.constant("bias")
    if not call.args["use_input_stats"]:
        statistics = {"gamma": pair[0], "beta": pair[1]}
        statistics |= {"mean": call.constant("running_mean"), "variance": call.constant("running_var")}
        return call.source.batch_norm(call.x, statistics, call.args["eps"], call.name)
    channels = call.source.shape(call.x)[0]
    return compose.group_norm(call.source, call.x, channels, *pair, float(call.args["eps"]), call.name)


def _axes(call: Call) -> tuple[int, ...]:
    return call.axes(call.args.get("dim"))


def _keeps(call: Call) -> bool:
    return bool(call.args.get("keepdim"))


def _mean(call: Call) -> str:
    return call.source.mean(call.x, _axes(call), _keeps(call), call.name)


def _sum(call: Call) -> str:
    return compose.total(call.source, call.x, _axes(call), _keeps(call), call.name)


def _maximum(call: Call) -> list[str]:
    if "other" in call.args:
        return [compose.maximum(call.source, call.operand("self"), call.operand("other"), call.name)]
    return [call.source.reduce_max(call.x, _axes(call), _keeps(call), call.name)]


def _minimum(call: Call) -> list[str]:
    if "other" in call.args:
        return [compose.minimum(call.source, call.operand("self"), call.operand("other"), call.name)]
    return [compose.reduce_min(call.source, call.x, _axes(call), _keeps(call), call.name)]


def _product(call: Call) -> str:
    return compose.product(call.source, call.x, _axes(call), _keeps(call), call.name)


def _log_sum_exp(call: Call) -> str:
    return compose.log_of_exponentials(call.source, call.x, _axes(call), _keeps(call), call.name)


def _norm(call: Call) -> str:
    order = call.args.get("ord", call.args.get("p", 2))
    norms = {1: compose.sum_of_sizes, 2: compose.euclidean}
    if order == math.inf:
        size = call.source.op("abs", [call.x], f"{call.name}.size")
        return call.source.reduce_max(size, _axes(call), _keeps(call), call.name)
    if (2 if order is None else order) not in norms:
        raise NotCaptured(f"a norm of order {order}", "Use order 1, 2 or infinity")
    return norms[2 if order is None else order](call.source, call.x, _axes(call), _keeps(call), call.name)


def _variance(call: Call) -> str:
    axes, source, name = _axes(call), call.source, call.name
    count = math.prod(source.shape(call.x)[axis] for axis in axes)
    given = (
        call.args["correction"] if "correction" in call.args else int(bool(call.args.get("unbiased", True)))
    )
    lost = 1 if given is None else given
    if count <= lost:
        raise NotCaptured(f"the variance of {count} values with a correction of {lost}", "Set correction=0")
    mean = source.mean(call.x, axes, True, f"{name}.mean")
    centred = source.subtract(call.x, mean, f"{name}.centred")
    square = source.mul(centred, centred, f"{name}.square")
    return source.scale(
        source.mean(square, axes, _keeps(call), f"{name}.biased"), count / (count - lost), name
    )


def _deviation(call: Call) -> str:
    return call.source.op("sqrt", [_variance(call)], f"{call.name}.root")


def _log_softmax(call: Call) -> str:
    return compose.log_softmax(call.source, call.x, call.axis(call.args["dim"]), call.name)


NORMALIZE_HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("rms_norm", "_fused_rms_norm"), _rms_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    "instance_norm": _instance_norm,
}
"""These want the batch as the first dimension."""

REDUCE_HANDLERS: Mapping[str, Handler] = {
    "mean": _mean,
    "sum": _sum,
    **dict.fromkeys(("max", "amax"), _maximum),
    **dict.fromkeys(("min", "amin"), _minimum),
    "prod": _product,
    "logsumexp": _log_sum_exp,
    **dict.fromkeys(("linalg_vector_norm", "norm"), _norm),
    "var": _variance,
    "std": _deviation,
    **dict.fromkeys(("log_softmax", "_log_softmax"), _log_softmax),
}
