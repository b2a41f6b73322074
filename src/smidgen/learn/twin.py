"""A graph as a trainable torch module, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.errors import Unsupported
from smidgen.formats import Dense, Format
from smidgen.formats.twins import LowRankTwin, Twin
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.scan import body_of
from smidgen.graph.structured import expand_structured, right_factors
from smidgen.learn.fused_cells import fused_cell
from smidgen.learn.grid_twin import GridTwin
from smidgen.learn.scan import run_scan
from smidgen.learn.shift_norm import batch_statistics, shift_norm
from smidgen.learn.torch_ops import TORCH_FUNCTIONS, TorchFunction, per_sample
from smidgen.lower.grids import KEEPS_GRID, declared_grids, grid_owners, trainable_grids, with_grids

STATISTICS = ("mean", "variance")
BATCH_NORM_MOMENTUM = 0.1
NARROW_BITS = 8  # wider grids are not imitated in training (learn/scan.py)
TRAINABLE = frozenset({*TORCH_FUNCTIONS, "batch_norm", "shift_norm", "scan"})


class GraphTwin(nn.Module):
    """The float graph, its weights through their formats' twins, its declared grids as fake quantization.

    `weights` maps weight names to twins; low-rank ones are executed factor by factor. `functions` maps names
    of nodes to what training computes in their place (same arguments as in TORCH_FUNCTIONS). `forward` takes
    [n, ...] channels last and returns the first output.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        missing = sorted({node.op for node in graph.walk() if node.op not in TRAINABLE})
        if missing:
            raise Unsupported(
                graph.name, f"operators {', '.join(missing)} can't be trained", "", "Drop tune.fit"
            )
        self.graph = graph
        self.functions: dict[str, TorchFunction] = {}
        self.weights: dict[str, Twin] = {}
        for role, name in _params(graph):
            if role in STATISTICS:
                self.register_buffer(_key(name), torch.from_numpy(graph.weights[name].decode().copy()))
            elif name not in self.weights:
                self.weights[name] = graph.weights[name].twin()
        self._twins = nn.ModuleList(self.weights.values())
        self._executed = expand_structured(graph)
        self._factors = _factors(self.weights, _rights(graph))
        moving = trainable_grids(graph)
        self.grids: dict[str, GridTwin] = {
            owner: GridTwin(grid, fixed=owner not in moving)
            for owner, grid in declared_grids(graph).items()
            if grid.bits <= NARROW_BITS
        }
        self._grids = nn.ModuleList(self.grids.values())
        self._grid_of = _grids_by_value(graph, self.grids)
        cells = {node.name: fused_cell(node) for node in self._executed.walk() if node.op == "scan"}
        self._fused = {name: cell for name, cell in cells.items() if cell is not None}

    def forward(self, x: Tensor) -> Tensor:
        live = {self.graph.inputs[0]: self._on_grid(self.graph.inputs[0], x)}
        memo: dict[str, Tensor] = {}
        for node in self._executed.nodes:
            made = self._evaluate(memo, node, [live[name] for name in node.inputs], self._executed.values)
            for name, y in zip(node.outputs, made, strict=True):
                live[name] = per_sample(self._on_grid(name, y), len(x))
        return live[self.graph.outputs[0]]

    def progress(self, t: float) -> None:
        """Drive every format's annealing; activation ranges stop moving half-way (S4: freeze late)."""
        for twin in self.weights.values():
            twin.progress(t)
        for grid in self.grids.values():
            grid.adapting = not grid.fixed and t < 0.5

    def put(self, name: str, twin: Twin) -> None:
        """Train the weight `name` by another twin. It must be there before the optimizer is made."""
        self.weights[name] = twin.to(next(self.parameters()).device)
        self._twins = nn.ModuleList(self.weights.values())

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": lr}]

    def freeze(self) -> Graph:
        """The trained graph: weights through their formats, BatchNorm statistics and grids written back."""
        changed: dict[str, Format] = {name: twin.freeze() for name, twin in self.weights.items()}
        for role, name in _params(self.graph):
            if role in STATISTICS:
                changed[name] = Dense(getattr(self, _key(name)).cpu().numpy())
        moved = {name: grid.grid() for name, grid in self.grids.items() if not grid.fixed}
        return with_grids(replace(self.graph.with_weights(changed), pending=()), moved)

    def _evaluate(
        self, memo: dict[str, Tensor], node: Node, x: Sequence[Tensor], values: Mapping[str, Value]
    ) -> Sequence[Tensor]:
        """Outputs of a node; `memo` holds the weights made in this forward pass."""
        if node.name in self._fused:
            return self._fused[node.name].run(x, partial(self._weight, memo))
        if node.op == "scan":
            return run_scan(node, x, partial(self._evaluate, memo), self._grid_of)
        params = {role: self._param(memo, role, name) for role, name in node.params.items()}
        if node.op == "batch_norm":
            return [self._batch_norm(node, x[0], params)]
        if node.op == "shift_norm":
            return [self._shift_norm(node, x[0], params)]
        function = self.functions.get(node.name) or TORCH_FUNCTIONS[node.op]
        return [function(node, x, params, values[node.output])]

    def _on_grid(self, name: str, x: Tensor) -> Tensor:
        return self._grid_of[name](x) if name in self._grid_of else x

    def _param(self, memo: dict[str, Tensor], role: str, name: str) -> Tensor:
        if role in STATISTICS:
            buffer: Tensor = getattr(self, _key(name))
            return buffer
        return self._weight(memo, name)

    def _weight(self, memo: dict[str, Tensor], name: str) -> Tensor:
        if name not in memo:
            memo[name] = (self._factors.get(name) or self.weights[name]).weight()
        return memo[name]

    def _batch_norm(self, node: Node, x: Tensor, w: dict[str, Tensor]) -> Tensor:
        channels_first = x.movedim(-1, 1) if x.dim() > 2 else x
        y = F.batch_norm(
            channels_first,
            w["mean"],
            w["variance"],
            w["gamma"],
            w["beta"],
            self.training,
            BATCH_NORM_MOMENTUM,
            node.attrs["epsilon"],
        )
        return y.movedim(1, -1) if x.dim() > 2 else y

    def _shift_norm(self, node: Node, x: Tensor, w: dict[str, Tensor]) -> Tensor:
        statistics = (w["mean"], w["variance"])
        if self.training:
            statistics = batch_statistics(x, *statistics, BATCH_NORM_MOMENTUM)
        return shift_norm(x, *statistics, node.attrs["epsilon"], node.attrs["extra_scale"])


def _params(graph: Graph) -> Iterator[tuple[str, str]]:
    """(role, weight) of all nodes; a scan's own params only repeat those of its body."""
    for node in graph.walk():
        if node.op != "scan":
            yield from node.params.items()


def _grids_by_value(graph: Graph, grids: Mapping[str, GridTwin]) -> dict[str, GridTwin]:
    """value -> its grid, for the values that must be put on it: not those that have it from their input."""
    owners = grid_owners(graph)
    made = [*graph.inputs, *_fresh_values(graph.walk(), owners)]
    return {name: grids[owners[name]] for name in made if owners.get(name) in grids}


def _fresh_values(nodes: Iterable[Node], owners: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        if node.op == "scan":
            # Every step's state was put on its grid inside, where the initial one starts on it too.
            yield from (name for name in node.outputs if owners[name] == name)
            yield from node.attrs["body"].inputs[1:]
        elif node.op not in KEEPS_GRID or owners[node.output] != owners[node.inputs[0]]:
            yield from node.outputs


def _rights(graph: Graph) -> dict[str, str]:
    """Left -> right factor of each low-rank weight, in bodies too, as `expand_structured` names them."""
    found = right_factors(graph)
    for node in graph.nodes:
        if node.op == "scan":
            found |= _rights(body_of(node, graph.weights))
    return found


def _factors(weights: dict[str, Twin], rights: dict[str, str]) -> dict[str, Twin]:
    """The twins of low-rank factors, by their names in the expanded graph."""
    found: dict[str, Twin] = {}
    for name, right in rights.items():
        whole = weights[name]
        assert isinstance(whole, LowRankTwin)
        found |= {name: whole.left, right: whole.right}
    return found


def _key(weight: str) -> str:
    """A legal buffer name."""
    return "statistic_" + weight.replace(".", "__")
