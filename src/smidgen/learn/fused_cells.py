"""The usual recurrent layers through torch's own kernels: the same function, many times faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smidgen.graph import Node
from smidgen.graph.cells import GATES, gate_weights
from smidgen.graph.scan import body_of, sequences_of, states_of

FUSED = ("gru_after", "lstm")


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
    if node.attrs["kind"] not in FUSED or any(value.grid for value in body_of(node).values.values()):
        return None
    weights = gate_weights(node)
    return None if weights is None else FusedCell(node, weights)
