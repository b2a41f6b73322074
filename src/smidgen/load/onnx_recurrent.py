"""ONNX's recurrent operators as scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.errors import BadInput
from smidgen.load.onnx_call import Call, Handler, Placed
from smidgen.load.recurrent import Direction, Kind, gate_weights, recurrent, stacked, unstacked
from smidgen.load.source import Constant, NotCaptured


@dataclass(frozen=True)
class _Operator:
    """`order` of its gates; `functions`: the default activations of one direction; number of states."""

    order: tuple[str, ...]
    functions: tuple[str, ...]
    states: int = 1


_OPERATORS: Mapping[str, _Operator] = {
    "GRU": _Operator(("update", "reset", "new"), ("Sigmoid", "Tanh")),
    "LSTM": _Operator(("input", "output", "forget", "cell"), ("Sigmoid", "Tanh", "Tanh"), 2),
    "RNN": _Operator(("hidden",), ("Tanh",)),
}
_WAYS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def _handler(name: str) -> Handler:
    """x [T, I] -> Y [T, directions, H] and the final states [directions, H].

    What a scan can't express is refused: as an island it would run in onnx's reference implementation, which
    ignores clipping and other activations, and knows one direction.
    """
    layer = _layer(name)

    def handle(call: Call) -> list[Placed]:
        try:
            return layer(call)
        except NotCaptured as why:
            raise BadInput(call.name, why.reason, "the plain recurrent layer is read", why.remedy) from why

    return handle


def _layer(name: str) -> Callable[[Call], list[Placed]]:
    def handle(call: Call) -> list[Placed]:
        operator, source = _OPERATORS[name], call.source
        ways = _WAYS[_text(call.attrs.get("direction", "forward"))]
        kind = _kind(name, operator, call, len(ways))
        _check_options(call)
        if _is_one_step(call, len(ways)):
            return _one_step(call, operator, kind, ways[0])
        _check_batch(call)
        _check_lengths(call)
        initial = _initial(call, operator, len(ways))
        directions = [
            _direction(call, operator, kind, way, reverse, initial[way]) for way, reverse in enumerate(ways)
        ]
        sequence, finals = recurrent(source, call.x, [directions])
        steps = source.shape(call.x)[0]
        y = source.reshape(sequence, (steps, len(ways), -1), f"{call.name}.directions")
        columns = zip(*finals, strict=True)
        states = [stacked(source, c, f"{call.name}.state{i}") for i, c in enumerate(columns)]
        layout = int(call.attrs.get("layout", 0))
        return [Placed(y, 0 if layout else 2), *(Placed(state, 0 if layout else 1) for state in states)]

    return handle


def _direction(
    call: Call, operator: _Operator, kind: Kind, way: int, reverse: bool, initial: tuple[str, ...]
) -> Direction:
    w, r, bias = call.needed(1).array[way], call.needed(2).array[way], call.constant(3)
    both = (None, None) if bias is None else (bias.array[way][: len(w)], bias.array[way][len(w) :])
    stem = f"{call.name}.reverse" if reverse and way else call.name
    return Direction(stem, kind, gate_weights(kind, operator.order, w, r, *both), reverse, initial)


def _is_one_step(call: Call, ways: int) -> bool:
    """One step of several sequences side by side, in a file for one sample: [1, sequences, I].

    The axis of time is as long as the batch and stands for it.
    """
    return call.batch == 1 and ways == 1 and call.batch_axis == 0 != batch_place(call.attrs)


def _one_step(call: Call, operator: _Operator, kind: Kind, reverse: bool) -> list[Placed]:
    """x [sequences, I], states [sequences, H] -> Y [1, sequences, H] and the states."""
    source = call.source
    initial = tuple(_given_states(call, operator))
    x = source.reshape(call.x, (1, *source.shape(call.x)), f"{call.name}.step")
    direction = _direction(call, operator, kind, 0, reverse, initial)
    sequence, (finals,) = recurrent(source, x, [[direction]])
    return [Placed(sequence, 0), *(Placed(state, 0) for state in finals)]


def batch_place(attrs: Mapping[str, Any]) -> int:
    """The axis of a sequence that its layout takes for the batch."""
    return 0 if attrs.get("layout", 0) else 1


def _kind(name: str, operator: _Operator, call: Call, ways: int) -> Kind:
    functions = tuple(_text(f) for f in call.attrs.get("activations", operator.functions * ways))
    if name == "RNN" and set(functions) in ({"Tanh"}, {"Relu"}):
        return "rnn_relu" if functions[0] == "Relu" else "rnn_tanh"
    if functions != operator.functions * ways:
        raise NotCaptured(f"a {name} with the activations {', '.join(functions)}", "Use the default ones")
    if name == "GRU":
        return "gru_after" if call.attrs.get("linear_before_reset", 0) else "gru_before"
    return "lstm"


def _check_options(call: Call) -> None:
    if call.attrs.get("clip"):
        raise NotCaptured("a recurrent layer that clips its gates", "Leave clip out")
    if call.attrs.get("input_forget"):
        raise NotCaptured("an LSTM with coupled input and forget gates", "Leave input_forget out")
    if len(call.inputs) > 7 and call.inputs[7] is not None:
        raise NotCaptured("an LSTM with peepholes", "Leave the input P out")


def _check_batch(call: Call) -> None:
    place = batch_place(call.attrs)
    if call.batch_axis != place:
        found = f"axis {call.batch_axis} of its input is the batch"
        remedy = f"Load the model with batch_axes={place}, or transpose the input"
        raise BadInput(call.name, found, f"this layout takes it as axis {place}", remedy)


def _check_lengths(call: Call) -> None:
    lengths, steps = call.constant(4), call.source.shape(call.x)[0]
    if lengths is not None and not (lengths.array == steps).all():
        raise NotCaptured("sequences shorter than their input", "Leave sequence_lens out")


def _initial(call: Call, operator: _Operator, ways: int) -> list[tuple[str, ...]]:
    """The initial states of each direction; none where all are zero."""
    values = _given_states(call, operator)
    rows = [unstacked(call.source, v, f"{call.name}.initial{i}") for i, v in enumerate(values)]
    return list(zip(*rows, strict=True)) if rows else [()] * ways


def _given_states(call: Call, operator: _Operator) -> list[str]:
    indices = range(5, 5 + operator.states)
    given = [call.inputs[i] for i in indices if i < len(call.inputs) and call.inputs[i] is not None]
    if any(isinstance(state, Constant) and state.array.any() for state in given):
        raise NotCaptured("a constant initial state other than zero", "Start at zero, or make it an input")
    values = [state for state in given if isinstance(state, str)]
    if values and len(values) < operator.states:
        raise NotCaptured("only some of its initial states are given", "Give all or none")
    return values


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


RECURRENT_HANDLERS: Mapping[str, Handler] = {name: _handler(name) for name in _OPERATORS}
