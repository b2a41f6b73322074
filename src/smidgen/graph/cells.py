"""Bodies of the usual recurrent layers, each gate's weights under its own name.

Weights are called `<name>.<gate>.input` [H, I], `<name>.<gate>.recurrent` [H, H], `<name>.<gate>.bias` [H].
A cell returns its new hidden state as its one sequence output unless `sequence` is False.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smidgen.formats import Format
from smidgen.graph.build import GraphBuilder
from smidgen.graph.core import Graph, Node
from smidgen.graph.scan import body_of, sequences_of

Arrays = Mapping[str, npt.ArrayLike | Format]
Reset = Literal["before", "after"]

GRU_GATES = ("reset", "update", "new")
LSTM_GATES = ("input", "forget", "cell", "output")
GATES: Mapping[str, tuple[str, ...]] = {  # by the kind of a scan
    "gru_before": GRU_GATES,
    "gru_after": GRU_GATES,
    "lstm": LSTM_GATES,
}


def gru_cell(
    name: str, inputs: int, hidden: int, weights: Arrays, reset: Reset = "after", sequence: bool = True
) -> Graph:
    """One step of a gated recurrent unit: x [inputs], h [hidden] -> h' [hidden].

        r = sigmoid(W_r x + b_r + U_r h)        z = sigmoid(W_z x + b_z + U_z h)
        n = tanh(W_n x + b_n + r * (U_n h + c_n))   reset after the product (PyTorch, cuDNN), or
        n = tanh(W_n x + b_n + U_n (r * h))         reset before it (the original)
        h' = n + z * (h - n)

    `weights` maps `<gate>.input`, `<gate>.recurrent`, `<gate>.bias` for the gates reset, update and new, and
    `new.recurrent_bias` (c_n; reset after only) to arrays.
    Ref: Cho et al. 2014, arXiv 1406.1078, section 2.3.
    """
    cell = _Cell(name, inputs, weights)
    h = cell.state("h", hidden)
    r = cell.gate(
        "reset",
        "sigmoid",
        [cell.linear("reset.input", cell.x, "reset.bias"), cell.linear("reset.recurrent", h)],
    )
    z = cell.gate(
        "update",
        "sigmoid",
        [cell.linear("update.input", cell.x, "update.bias"), cell.linear("update.recurrent", h)],
    )
    if reset == "after":
        recalled = cell.op("mul", "recalled", r, cell.linear("new.recurrent", h, "new.recurrent_bias"))
    else:
        recalled = cell.linear("new.recurrent", cell.op("mul", "recalled", r, h))
    n = cell.gate("new", "tanh", [cell.linear("new.input", cell.x, "new.bias"), recalled])
    change = cell.op("mul", "kept", z, cell.op("sub", "difference", h, n))
    following = cell.op("add", "next", n, change)
    return cell.graph(*([following] if sequence else []), following)


def bitwise_gru_cell(name: str, inputs: int, hidden: int, weights: Arrays, sequence: bool = True) -> Graph:
    """One step of a gated recurrent unit on signs: x [inputs] and h [hidden] of +1 and -1 -> h' alike.

        r = [W_r (x, h) + b_r > 0]        u = [W_u (x, h) + b_u > 0]        c = sign(W_c (x, r h) + b_c)
        h' = c where u, else h

    Gates are 0 or 1 and sign(0) = +1. `weights` maps `<gate>.weight` [hidden, inputs + hidden] and
    `<gate>.bias` [hidden] for the gates reset, update and new. What ties (x, h), r h and h' to whole numbers
    is a `binarize` or `sign` that changes nothing there: integers hold them exactly, and gates run on packed
    bits.
    Ref: Kim, Maity, Kim 2019 (arXiv 1908.08898).
    """
    cell = _Cell(name, inputs, weights)
    h = cell.state("h", hidden)
    joined = cell.op("binarize", "joined", cell.op("concat", "both", cell.x, h, axis=0))
    r, u = (cell.op("step", g, cell.linear(f"{g}.weight", joined, f"{g}.bias")) for g in GRU_GATES[:2])
    held = cell.op("sign", "held", cell.op("mul", "recalled", r, h))
    beside = cell.op("concat", "beside", cell.x, held, axis=0)
    c = cell.op("binarize", "new", cell.linear("new.weight", beside, "new.bias"))
    change = cell.op("mul", "kept", u, cell.op("sub", "difference", c, h))
    following = cell.op("binarize", "next", cell.op("add", "chosen", h, change))
    return cell.graph(*([following] if sequence else []), following)


def lstm_cell(name: str, inputs: int, hidden: int, weights: Arrays, sequence: bool = True) -> Graph:
    """One step of a long short-term memory: x [inputs], h [hidden], c [hidden] -> h', c'.

        i, f, o = sigmoid(W x + b + U h) each,  g = tanh(W_g x + b_g + U_g h)
        c' = f * c + i * g,                     h' = o * tanh(c')

    `weights` maps `<gate>.input`, `<gate>.recurrent`, `<gate>.bias` for the gates input, forget, cell (g) and
    output to arrays. Ref: Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.
    """
    cell = _Cell(name, inputs, weights)
    h, c = cell.state("h", hidden), cell.state("c", hidden)
    made = {
        gate: cell.gate(
            gate,
            "tanh" if gate == "cell" else "sigmoid",
            [cell.linear(f"{gate}.input", cell.x, f"{gate}.bias"), cell.linear(f"{gate}.recurrent", h)],
        )
        for gate in LSTM_GATES
    }
    kept = cell.op("mul", "kept", made["forget"], c)
    following = cell.op("add", "next_c", kept, cell.op("mul", "written", made["input"], made["cell"]))
    shown = cell.op("mul", "next", made["output"], cell.op("tanh", "squashed", following))
    return cell.graph(*([shown] if sequence else []), shown, following)


def rnn_cell(
    name: str,
    inputs: int,
    hidden: int,
    weights: Arrays,
    function: Literal["tanh", "relu"] = "tanh",
    sequence: bool = True,
) -> Graph:
    """One step of a plain recurrent layer: h' = f(W x + b + U h); `weights` are those of the gate hidden.

    Ref: Elman 1990.
    """
    cell = _Cell(name, inputs, weights)
    h = cell.state("h", hidden)
    terms = [cell.linear("hidden.input", cell.x, "hidden.bias"), cell.linear("hidden.recurrent", h)]
    following = cell.gate("hidden", function, terms)
    return cell.graph(*([following] if sequence else []), following)


def gate_weights(node: Node) -> dict[str, str] | None:
    """`<gate>.<role>` -> weight of a scan whose body is the cell of its kind, whatever its names.

    Biases may be missing. None if the body computes anything else.
    """
    kind, body = node.attrs["kind"], body_of(node)
    if kind not in GATES or len(body.inputs) != (3 if kind == "lstm" else 2):
        return None
    return _matched(_pattern(kind, bool(sequences_of(node))), body)


def _pattern(kind: str, sequence: bool) -> Graph:
    """The cell with all biases, of one input and one unit, its weights named `.<gate>.<role>`."""
    shapes = {"input": (1, 1), "recurrent": (1, 1), "bias": (1,), "recurrent_bias": (1,)}
    weights = {f"{gate}.{role}": np.zeros(shape) for gate in GATES[kind] for role, shape in shapes.items()}
    if kind == "lstm":
        return lstm_cell("", 1, 1, weights, sequence)
    return gru_cell("", 1, 1, weights, "after" if kind == "gru_after" else "before", sequence)


def _matched(pattern: Graph, body: Graph) -> dict[str, str] | None:
    """Weight of `pattern` -> weight of `body` if they differ in names, sizes and missing biases only."""
    if len(pattern.nodes) != len(body.nodes):
        return None
    named = dict(zip(pattern.inputs, body.inputs, strict=True))
    weights: dict[str, str] = {}
    for ours, theirs in zip(pattern.nodes, body.nodes, strict=True):
        if ours.op != theirs.op or tuple(named[name] for name in ours.inputs) != theirs.inputs:
            return None
        if not ours.params.keys() >= theirs.params.keys():
            return None
        named.update(zip(ours.outputs, theirs.outputs, strict=True))
        weights |= {ours.params[role].removeprefix("."): name for role, name in theirs.params.items()}
    return weights if tuple(named[name] for name in pattern.outputs) == body.outputs else None


class _Cell:
    """A body under construction; every name starts with the layer's."""

    def __init__(self, name: str, inputs: int, weights: Arrays) -> None:
        self._name, self._weights = name, weights
        self._builder = GraphBuilder(f"{name}.body")
        self.x = self._builder.input(f"{name}.x", (inputs,))

    def state(self, name: str, size: int) -> str:
        return self._builder.input(f"{self._name}.{name}", (size,))

    def linear(self, weight: str, x: str, bias: str = "") -> str:
        roles = {"weight": weight} | ({"bias": bias} if bias in self._weights else {})
        params = {
            role: self._builder.weight(f"{self._name}.{given}", self._weights[given])
            for role, given in roles.items()
        }
        return self._builder.op("linear", [x], params, f"{self._name}.{weight}.product")

    def op(self, op: str, name: str, *inputs: str, **attrs: Any) -> str:
        return self._builder.op(op, inputs, name=f"{self._name}.{name}", **attrs)

    def gate(self, gate: str, function: str, terms: list[str]) -> str:
        return self.op(function, gate, self.op("add", f"{gate}.sum", *terms))

    def graph(self, *outputs: str) -> Graph:
        return self._builder.graph(outputs)
