"""ONNX operators that work on single elements: functions, comparisons, choices, arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from smidgen.graph.activations import SMOOTH, STEEP
from smidgen.load import compose
from smidgen.load.activations import activation, clamp, elu, hard_sigmoid, leaky_relu, shrunk
from smidgen.load.onnx_call import Call, Handler
from smidgen.load.source import Constant, NotCaptured, Operand, Source

Binary = Callable[[Source, Operand, Operand, str], str]
# Numbers of the parameters that ONNX leaves out.
SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}


def _function(op: str) -> Handler:
    return lambda call: activation(call.source, op, call.x, call.name)


def _number(call: Call, key: str, default: float) -> float:
    return float(call.attrs.get(key, default))


def _gelu(call: Call) -> str:
    op = "gelu_tanh" if call.attrs.get("approximate") == b"tanh" else "gelu"
    return call.source.op(op, [call.x], call.name)


def _swish(call: Call) -> str:
    alpha = _number(call, "alpha", 1.0)
    if alpha == 1.0:
        return call.source.op("silu", [call.x], call.name)
    gate = call.source.op(
        "sigmoid", [call.source.scale(call.x, alpha, f"{call.name}.in")], f"{call.name}.gate"
    )
    return call.source.mul(call.x, gate, call.name)


def _hard_sigmoid(call: Call) -> str:
    return hard_sigmoid(
        call.source, call.x, _number(call, "alpha", 0.2), _number(call, "beta", 0.5), call.name
    )


def _leaky_relu(call: Call) -> str:
    return leaky_relu(call.source, call.x, Constant(np.array(_number(call, "alpha", 0.01))), call.name)


def _prelu(call: Call) -> str:
    return leaky_relu(call.source, call.x, call.needed(1), call.name)


def _elu(call: Call) -> str:
    return elu(call.source, call.x, _number(call, "alpha", 1.0), 1.0, 1.0, call.name)


def _selu(call: Call) -> str:
    alpha, gamma = (_number(call, key, default) for key, default in SELU.items())
    if (alpha, gamma) == tuple(SELU.values()):
        return call.source.op("selu", [call.x], call.name)
    return elu(call.source, call.x, alpha, gamma, 1.0, call.name)


def _celu(call: Call) -> str:
    alpha = _number(call, "alpha", 1.0)
    return elu(call.source, call.x, alpha, 1.0, 1 / alpha, call.name)


def _thresholded(call: Call) -> str:
    edge = Constant(np.array(_number(call, "alpha", 1.0)))
    kept = compose.greater(call.source, call.x, edge, f"{call.name}.above")
    return call.source.mul(call.x, kept, call.name)


def _shrink(call: Call) -> str:
    return shrunk(call.source, call.x, _number(call, "lambd", 0.5), _number(call, "bias", 0.0), call.name)


def _clip(call: Call) -> str:
    return clamp(call.source, call.x, call.scalar("min", 1), call.scalar("max", 2), call.name)


def _binary(function: Binary, swapped: bool = False) -> Handler:
    def handle(call: Call) -> str:
        pair = call.operand(0), call.operand(1)
        a, b = reversed(pair) if swapped else pair
        return function(call.source, a, b, call.name)

    return handle


def _several(function: Binary) -> Handler:
    """From the first input to the last."""

    def handle(call: Call) -> str:
        found: Operand = call.operand(0)
        for index in range(1, len(call.inputs)):
            last = index == len(call.inputs) - 1
            name = call.name if last else f"{call.name}.{index}"
            found = function(call.source, found, call.operand(index), name)
        if not isinstance(found, str):
            raise NotCaptured("an operation on a constant")
        return found

    return handle


def _average(call: Call) -> str:
    return call.source.scale(_several(Source.add)(call), 1 / len(call.inputs), f"{call.name}.mean")  # type: ignore[arg-type]


def _not(call: Call) -> str:
    return compose.negation(call.source, call.x, call.name)


def _where(call: Call) -> str:
    condition, a, b = (call.operand(i) for i in range(3))
    return compose.where(call.source, condition, a, b, call.name)


def _modulo(call: Call) -> str:
    rounded = "trunc" if call.attrs.get("fmod") else "floor"
    return compose.remainder(call.source, call.operand(0), call.operand(1), call.name, rounded)


_COMPOSED = ("step", "binarize", "rsqrt", "gelu_tanh", "gelu_polynomial", "silu")
_NAMES = {
    **{op: op.capitalize() for op in (*SMOOTH, *STEEP) if op not in _COMPOSED},
    **{"relu": "Relu", "hardswish": "HardSwish"},
}

LOGIC_HANDLERS: Mapping[str, Handler] = {
    "Greater": _binary(compose.greater),
    "GreaterOrEqual": _binary(compose.greater_equal),
    "Less": _binary(compose.greater, swapped=True),
    "LessOrEqual": _binary(compose.greater_equal, swapped=True),
    "Equal": _binary(compose.equal),
    "And": _binary(Source.mul),
    "Or": _binary(compose.either),
    "Xor": _binary(compose.differs),
    "Not": _not,
}
"""Those whose result is true or false."""

ELEMENTWISE_HANDLERS: Mapping[str, Handler] = {
    **{name: _function(op) for op, name in _NAMES.items()},
    "Gelu": _gelu,
    "Swish": _swish,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
    "Clip": _clip,
    **LOGIC_HANDLERS,
    "Where": _where,
    "Max": _several(compose.maximum),
    "Min": _several(compose.minimum),
    "Mean": _average,
    "Div": _binary(compose.divide),
    "Mod": _modulo,
    "Pow": _binary(compose.power),
}
