"""A scan node in torch: what reads the input alone runs for all steps at once, the rest step by step.

Values with 16 bits are left alone: their rounding is far below the noise of training. Values with 8 bits
(the hidden state, above all) are put on their grid at every step; within a batch that grid stands still,
afterwards its range follows what all steps showed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.scan import body_of, sequences_of, states_of
from smidgen.learn.grid_twin import GridTwin, snapped
from smidgen.learn.torch_ops import per_sample

Evaluate = Callable[[Node, Sequence[Tensor], Mapping[str, Value]], Sequence[Tensor]]


def run_scan(
    node: Node, x: Sequence[Tensor], evaluate: Evaluate, grids: Mapping[str, GridTwin]
) -> list[Tensor]:
    """x [n, T, ..] and perhaps initial states [n, ..] -> sequence outputs [n, T, ..] and final states.

    `grids`: value -> its grid, for the values that are put on one where they are made.
    """
    body, names = body_of(node), states_of(node)
    ahead, stepwise = parts_of(body)
    known = {name: made.unbind(1) for name, made in _all_steps(body, ahead, x[0], evaluate, grids).items()}
    on_grid = _StepGrids(grids, [*names, *(name for inner in stepwise for name in inner.outputs)])
    start = x[1:] or [x[0].new_zeros(len(x[0]), *body.values[name].shape) for name in names]
    states = [on_grid(name, initial) for name, initial in zip(names, start, strict=True)]
    steps, kept = x[0].shape[1], len(sequences_of(node))
    order = range(steps - 1, -1, -1) if node.attrs["reverse"] else range(steps)
    shown: list[list[Tensor]] = []
    for t in order:
        live = {name: made[t] for name, made in known.items()} | dict(zip(names, states))
        for inner in stepwise:
            made = evaluate(inner, [live[name] for name in inner.inputs], body.values)
            live.update((name, on_grid(name, y)) for name, y in zip(inner.outputs, made))
        outputs = [live[name] for name in body.outputs]
        shown.append(outputs[:kept])
        states = outputs[kept:]
    on_grid.observe()
    if node.attrs["reverse"]:
        shown.reverse()
    return [*(torch.stack(sequence, dim=1) for sequence in zip(*shown)), *states]


def parts_of(body: Graph) -> tuple[list[Node], list[Node]]:
    """The nodes that depend on the step's input alone, and the others; both in order."""
    free, ahead, stepwise = {body.inputs[0]}, list[Node](), list[Node]()
    for node in body.nodes:
        if free.issuperset(node.inputs):
            free.update(node.outputs)
            ahead.append(node)
        else:
            stepwise.append(node)
    return ahead, stepwise


def _all_steps(
    body: Graph, ahead: Iterable[Node], x: Tensor, evaluate: Evaluate, grids: Mapping[str, GridTwin]
) -> dict[str, Tensor]:
    """Each value that depends on x alone, [n, T, ..]: no operator mixes samples, so steps can be samples."""
    live = {body.inputs[0]: x.flatten(0, 1)}
    for node in ahead:
        made = evaluate(node, [live[name] for name in node.inputs], body.values)
        for name, y in zip(node.outputs, made):
            live[name] = per_sample(grids[name](y) if name in grids else y, x.shape[0] * x.shape[1])
    return {name: made.reshape(*x.shape[:2], *made.shape[1:]) for name, made in live.items()}


class _StepGrids:
    """Puts values on the grids that they have at the start of the batch, and collects what they were."""

    def __init__(self, twins: Mapping[str, GridTwin], names: Iterable[str]) -> None:
        self._twins = {name: twins[name] for name in names if name in twins}
        self._grids = {name: twin.grid() for name, twin in self._twins.items()}
        self._seen: dict[str, list[Tensor]] = {
            name: [] for name, twin in self._twins.items() if twin.observing
        }

    def __call__(self, name: str, x: Tensor) -> Tensor:
        if name not in self._grids:
            return x
        if name in self._seen:
            self._seen[name].append(x.detach())
        return snapped(x, self._grids[name])

    def observe(self) -> None:
        """Let the ranges follow all steps of this batch."""
        for name, seen in self._seen.items():
            self._twins[name].observe(torch.stack(seen))
