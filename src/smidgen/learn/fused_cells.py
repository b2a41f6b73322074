"""The usual recurrent layers through torch's own kernels: the same function, many times faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smidgen.graph import Graph, Node
from smidgen.graph.cells import GRU_GATES, LSTM_GATES, gru_cell, lstm_cell
from smidgen.graph.scan import body_of, sequences_of, states_of

GATES: Mapping[str, tuple[str, ...]] = {"gru_after": GRU_GATES, "lstm": LSTM_GATES}


@dataclass(frozen=True)
class FusedCell:
    """`weights`: `<gate>.<role>` of graph/cells.py -> the name of the weight; biases may be missing.

    Our orders of the gates are torch's.
    """

    node: Node
    weights: Mapping[str, str]

    def run(self, x: Sequence[Tensor], weight: Callable[[str], Tensor]) -> list[Tensor]:
        """As `learn.scan.run_scan`, equal up to float rounding."""
        hidden = self._hidden
        start = x[1:] or [x[0].new_zeros(len(x[0]), hidden) for _ in states_of(self.node)]
        states = [initial.unsqueeze(0) for initial in start]
        params = [
            self._stacked(role, weight, x[0]) for role in ("input", "recurrent", "bias", "recurrent_bias")
        ]
        sequence = x[0].flip(1) if self.node.attrs["reverse"] else x[0]
        rest = (params, True, 1, 0.0, False, False, True)
        if len(states) == 2:
            shown, *finals = torch.lstm(sequence, states, *rest)
        else:
            shown, *finals = torch.gru(sequence, states[0], *rest)
        shown = shown.flip(1) if self.node.attrs["reverse"] else shown
        return [shown] * len(sequences_of(self.node)) + [final.squeeze(0) for final in finals]

    @property
    def _hidden(self) -> int:
        size: int = body_of(self.node).values[states_of(self.node)[0]].shape[0]
        return size

    def _stacked(self, role: str, weight: Callable[[str], Tensor], x: Tensor) -> Tensor:
        names = [self.weights.get(f"{gate}.{role}") for gate in GATES[self.node.attrs["kind"]]]
        return torch.cat([weight(name) if name else x.new_zeros(self._hidden) for name in names])


def fused_cell(node: Node) -> FusedCell | None:
    """The layer, if its body is exactly that of its kind and no value inside has a grid."""
    body = body_of(node)
    gates = GATES.get(node.attrs["kind"])
    if gates is None or any(value.grid is not None for value in body.values.values()):
        return None
    states = states_of(node)
    if (
        len(states) != (2 if node.attrs["kind"] == "lstm" else 1)
        or len(body.values[body.inputs[0]].shape) != 1
    ):
        return None
    weights = _matched(_pattern(node.attrs["kind"], bool(sequences_of(node))), body)
    return None if weights is None else FusedCell(node, weights)


def _pattern(kind: str, sequence: bool) -> Graph:
    """The body of a kind with all biases, of one input and one unit, weights under their gates' names."""
    roles = {"input": (1, 1), "recurrent": (1, 1), "bias": (1,)}
    weights = {f"{gate}.{role}": np.zeros(s) for gate in GATES[kind] for role, s in roles.items()}
    if kind == "lstm":
        return lstm_cell("", 1, 1, weights, sequence)
    return gru_cell("", 1, 1, weights | {"new.recurrent_bias": np.zeros(1)}, "after", sequence)


def _matched(pattern: Graph, body: Graph) -> dict[str, str] | None:
    """Weight of `pattern` -> weight of `body` if they differ in names, sizes and missing biases only."""
    if len(pattern.nodes) != len(body.nodes):
        return None
    named = dict(zip(pattern.inputs, body.inputs, strict=True))
    weights: dict[str, str] = {}
    for ours, theirs in zip(pattern.nodes, body.nodes, strict=True):
        if ours.op != theirs.op or tuple(named[name] for name in ours.inputs) != theirs.inputs:
            return None
        named.update(zip(ours.outputs, theirs.outputs, strict=True))
        for role, weight in theirs.params.items():
            if role not in ours.params:
                return None
            weights[ours.params[role].removeprefix(".")] = weight
    same_outputs = tuple(named[name] for name in pattern.outputs) == body.outputs
    return weights if same_outputs else None
