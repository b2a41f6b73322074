"""ATen's recurrent layers and cells as scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smidgen.errors import BadInput
from smidgen.load.aten_call import Call, Handler
from smidgen.load.recurrent import GATES, Direction, Kind, gate_weights, recurrent, stacked, unstacked
from smidgen.load.source import Constant, NotCaptured
from smidgen.numerics import Array

# PyTorch's order of the gates is that of GATES.


def _layers(kind: Kind) -> Handler:
    """x [T, I], states [layers * directions, H] -> sequence [T, directions * H], final states."""

    def handle(call: Call) -> list[str]:
        a, source = call.args, call.source
        if a["train"] and a["dropout"]:
            raise NotCaptured("dropout in training mode", "Call .eval() before exporting")
        _check_batch(call)
        ways, tensors = 1 + a["bidirectional"], 4 if a["has_biases"] else 2
        arrays = _arrays(call)
        if len(arrays) != a["num_layers"] * ways * tensors:
            raise NotCaptured("an LSTM with a projection (proj_size)", "Set proj_size=0, add a linear layer")
        initial = _initial(call, a["num_layers"] * ways)
        layers = []
        for layer in range(a["num_layers"]):
            numbers = range(layer * ways, (layer + 1) * ways)
            stem = f"{call.name}.l{layer}" if a["num_layers"] > 1 else call.name
            layers.append(
                [
                    Direction(
                        f"{stem}.reverse" if way else stem,
                        kind,
                        _weights(kind, arrays[number * tensors : (number + 1) * tensors]),
                        bool(way),
                        initial[number],
                    )
                    for way, number in enumerate(numbers)
                ]
            )
        sequence, finals = recurrent(source, a["input"], layers)
        columns = zip(*finals, strict=True)
        return [sequence, *(stacked(source, c, f"{call.name}.state{i}") for i, c in enumerate(columns))]

    return handle


def _cell(kind: Kind) -> Handler:
    """One step of x [I] and states [H]: a scan over a sequence of one."""

    def handle(call: Call) -> str | list[str]:
        a, source = call.args, call.source
        given = a["hx"] if isinstance(a["hx"], list) else [a["hx"]]
        initial = _given(given)
        arrays = [call.constant(key) for key in ("w_ih", "w_hh", "b_ih", "b_hh")]
        weights = _weights(kind, [c.array for c in arrays if c is not None])
        step = source.reshape(a["input"], (1, -1), f"{call.name}.step")
        _, finals = recurrent(source, step, [[Direction(call.name, kind, weights, False, initial)]])
        return list(finals[0]) if kind == "lstm" else finals[0][0]

    return handle


def _check_batch(call: Call) -> None:
    place = 0 if call.args["batch_first"] else 1
    if not isinstance(call.args["input"], str):
        raise NotCaptured("an operation on a constant")
    if call.batch_axes["input"] != place:
        found = f"axis {call.batch_axes['input']} of its input is the batch, axis {1 - place} the steps"
        remedy = f"Set batch_first={place != 0}, or load the model with batch_axes={place}"
        if call.batch_axes["input"] == 1 - place:
            found = "it would run over the samples of the batch as its steps"
        raise BadInput(call.name, found, f"batch_first={place == 0} takes the batch as axis {place}", remedy)
    if call.batch_axes.get("hx", 1) != 1:
        raise NotCaptured("initial states whose second axis is not the batch", "Pass them [layers, n, H]")


def _initial(call: Call, count: int) -> list[tuple[str, ...]]:
    """The initial states of each direction; none where all are zero."""
    given = call.args["hx"] if isinstance(call.args["hx"], list) else [call.args["hx"]]
    values = _given(given)
    rows = [unstacked(call.source, v, f"{call.name}.initial{i}") for i, v in enumerate(values)]
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _given(states: Sequence[str | Constant]) -> tuple[str, ...]:
    values = tuple(state for state in states if isinstance(state, str))
    if any(isinstance(state, Constant) and state.array.any() for state in states):
        raise NotCaptured("a constant initial state other than zero", "Start at zero, or make it an input")
    if values and len(values) < len(states):
        raise NotCaptured("only some of its initial states are given", "Pass all or none")
    return values


def _weights(kind: Kind, arrays: Sequence[Array]) -> dict[str, Array]:
    """From w_ih, w_hh and perhaps b_ih, b_hh."""
    w_input, w_recurrent, *biases = arrays
    b_input, b_recurrent = biases or (None, None)
    return gate_weights(kind, GATES[kind], w_input, w_recurrent, b_input, b_recurrent)


def _arrays(call: Call) -> list[Array]:
    if not all(isinstance(weight, Constant) for weight in call.args["params"]):
        raise NotCaptured("weights that are computed from the network's input", "Use trained parameters")
    return [weight.array for weight in call.args["params"]]


RECURRENT_HANDLERS: Mapping[str, Handler] = {
    "gru": _layers("gru_after"),
    "lstm": _layers("lstm"),
    "rnn_tanh": _layers("rnn_tanh"),
    "rnn_relu": _layers("rnn_relu"),
    "gru_cell": _cell("gru_after"),
    "lstm_cell": _cell("lstm"),
    "rnn_tanh_cell": _cell("rnn_tanh"),
    "rnn_relu_cell": _cell("rnn_relu"),
}
