"""Recurrent layers as scans: what the loaders share, whatever order a framework keeps its gates in.

A layer runs one direction or two over the steps of x [T, I]; two give [T, 2H], forward first. States are
stacked [layers * directions, H], the directions of a layer side by side. x may also hold several sequences,
[T, sequences, I], with states [sequences, H].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from smidgen.graph import Graph
from smidgen.graph.cells import gru_cell, lstm_cell, rnn_cell
from smidgen.graph.scan import walk
from smidgen.load.source import Constant, Source
from smidgen.numerics import Array

Kind = Literal["gru_after", "gru_before", "lstm", "rnn_tanh", "rnn_relu"]
GATES: Mapping[Kind, tuple[str, ...]] = {
    "gru_after": ("reset", "update", "new"),
    "gru_before": ("reset", "update", "new"),
    "lstm": ("input", "forget", "cell", "output"),
    "rnn_tanh": ("hidden",),
    "rnn_relu": ("hidden",),
}


@dataclass(frozen=True)
class Direction:
    """One direction of one layer: `weights` for its cell (see graph/cells.py), `initial` states or none."""

    name: str
    kind: Kind
    weights: Mapping[str, Array]
    reverse: bool = False
    initial: tuple[str, ...] = ()


def gate_weights(
    kind: Kind,
    order: Sequence[str],
    w_input: Array,
    w_recurrent: Array,
    b_input: Array | None,
    b_recurrent: Array | None,
) -> dict[str, Array]:
    """The cell's weights, from matrices [gates * H, I], [gates * H, H] and biases with gates in `order`.

    Both biases are added in the same place, except for the new gate of a GRU that resets after the product.
    """
    count, made = len(order), {}
    for number, gate in enumerate(order):
        made[f"{gate}.input"] = np.split(w_input, count)[number]
        made[f"{gate}.recurrent"] = np.split(w_recurrent, count)[number]
        if b_input is None or b_recurrent is None:
            continue
        outer, inner = np.split(b_input, count)[number], np.split(b_recurrent, count)[number]
        if kind == "gru_after" and gate == "new":
            made |= {"new.bias": outer, "new.recurrent_bias": inner}
        else:
            made[f"{gate}.bias"] = outer + inner
    return made


def recurrent(
    source: Source, x: str, layers: Sequence[Sequence[Direction]]
) -> tuple[str, list[tuple[str, ...]]]:
    """Layers one upon another: the last one's sequence [T, directions * H], and every direction's states."""
    finals: list[tuple[str, ...]] = []
    for directions in layers:
        made = [_scan(source, x, direction) for direction in directions]
        x = source.concat(
            [sequence for sequence, *_ in made], source.rank(x) - 1, f"{directions[0].name}.both"
        )
        finals += [tuple(states) for _, *states in made]
    return x, finals


def stacked(source: Source, states: Sequence[str], name: str) -> str:
    """States [H] each as one value [count, H]."""
    rows = [source.reshape(state, (1, -1), f"{name}.{i}") for i, state in enumerate(states)]
    return source.concat(rows, 0, name)


def unstacked(source: Source, stack: str, name: str) -> list[str]:
    """The rows [H] of a value [count, H]."""
    count, *rest = source.shape(stack)
    rows = [source.slice(stack, 0, i, i + 1, 1, f"{name}.{i}") for i in range(count)]
    return [source.reshape(row, rest, f"{name}.{i}.state") for i, row in enumerate(rows)]


def _scan(source: Source, x: str, direction: Direction) -> tuple[str, ...]:
    name, kind = source.free_name(direction.name), direction.kind
    _, *beside, inputs = source.shape(x)
    cell = _repeated(_cell(name, inputs, direction), beside)
    cell = _shared(source, cell, name, direction.name)
    return source.builder.scan(
        x,
        cell,
        kind="custom" if kind in ("rnn_tanh", "rnn_relu") else kind,
        initial=direction.initial,
        reverse=direction.reverse,
        name=name,
    )


def _repeated(cell: Graph, beside: Sequence[int]) -> Graph:
    """The cell for several sequences at a time: inputs and states [*beside, size]."""
    wide = {
        name: replace(cell.values[name], shape=(*beside, *cell.values[name].shape)) for name in cell.inputs
    }
    return cell.with_values(wide).inferred()


def _cell(name: str, inputs: int, direction: Direction) -> Graph:
    kind, weights = direction.kind, direction.weights
    hidden = len(next(array for role, array in weights.items() if role.endswith(".recurrent")))
    if kind == "lstm":
        return lstm_cell(name, inputs, hidden, weights)
    if kind in ("gru_after", "gru_before"):
        return gru_cell(name, inputs, hidden, weights, "after" if kind == "gru_after" else "before")
    return rnn_cell(name, inputs, hidden, weights, "tanh" if kind == "rnn_tanh" else "relu")


def _shared(source: Source, cell: Graph, name: str, user_name: str) -> Graph:
    """The cell with its weights as the source stores them: once for a layer that is called twice."""
    stored = {
        weight: source.weight(Constant(fmt.decode(), user_name + weight.removeprefix(name)), weight)
        for weight, fmt in cell.weights.items()
    }
    nodes = tuple(
        replace(node, params={role: stored[weight] for role, weight in node.params.items()})
        for node in walk(cell.nodes)
    )
    return replace(cell, nodes=nodes, weights={stored[w]: fmt for w, fmt in cell.weights.items()})
