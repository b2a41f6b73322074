"""A graph as a trainable torch module, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.errors import Unsupported
from smidgen.formats import Dense, Format, Grid
from smidgen.formats.twins import LowRankTwin, Twin, round_half_up_ste
from smidgen.graph import Graph, Node
from smidgen.graph.structured import expand_structured, right_factors
from smidgen.learn.torch_ops import TORCH_FUNCTIONS
from smidgen.lower.grids import KEEPS_GRID, trainable_grids, with_grids

STATISTICS = ("mean", "variance")
BATCH_NORM_MOMENTUM = 0.1
RANGE_MOMENTUM = 0.02


class GridTwin(nn.Module):
    """Fake quantization of one activation. While `adapting`, its range follows an average of batch ranges."""

    lo: Tensor
    hi: Tensor

    def __init__(self, grid: Grid, fixed: bool) -> None:
        super().__init__()
        self.original = grid
        self.bits = grid.bits
        self.fixed = fixed
        self.adapting = not fixed
        self.moved = False
        self.register_buffer("lo", torch.tensor((grid.qmin - grid.zero) * grid.scale))
        self.register_buffer("hi", torch.tensor((grid.qmax - grid.zero) * grid.scale))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.adapting:
            with torch.no_grad():
                self.lo.lerp_(x.min().clamp_max(0.0), RANGE_MOMENTUM)
                self.hi.lerp_(x.max().clamp_min(0.0), RANGE_MOMENTUM)
            self.moved = True
        grid = self.grid()
        low, high = (grid.qmin - grid.zero) * grid.scale, (grid.qmax - grid.zero) * grid.scale
        return round_half_up_ste(torch.clamp(x, low, high) / grid.scale) * grid.scale

    def grid(self) -> Grid:
        """The grid of the current range; the original one if nothing moved."""
        return Grid.from_range(float(self.lo), float(self.hi), self.bits) if self.moved else self.original


class GraphTwin(nn.Module):
    """The float graph, its weights through their formats' twins, its declared grids as fake quantization.

    `weights` maps weight names to twins; low-rank ones are executed factor by factor. `forward` takes
    [n, ...] channels last and returns the first output.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        missing = sorted({n.op for n in graph.nodes if n.op not in TORCH_FUNCTIONS and n.op != "batch_norm"})
        if missing:
            raise Unsupported(
                graph.name, f"operators {', '.join(missing)} can't be trained", "", "Drop tune.fit"
            )
        self.graph = graph
        self.weights: dict[str, Twin] = {}
        for node in graph.nodes:
            for role, name in node.params.items():
                if role in STATISTICS:
                    self.register_buffer(_key(name), torch.from_numpy(graph.weights[name].decode().copy()))
                elif name not in self.weights:
                    self.weights[name] = graph.weights[name].twin()
        self._twins = nn.ModuleList(self.weights.values())
        self._executed = expand_structured(graph)
        self._factors = _factors(self.weights, right_factors(graph))
        moving = trainable_grids(graph)
        shares = {n.output for n in graph.nodes if n.op in KEEPS_GRID}
        self.grids: dict[str, GridTwin] = {
            name: GridTwin(value.grid, fixed=name not in moving)
            for name, value in graph.values.items()
            if value.grid is not None and name not in shares
        }
        self._grids = nn.ModuleList(self.grids.values())

    def forward(self, x: Tensor) -> Tensor:
        live = {self.graph.inputs[0]: self._on_grid(self.graph.inputs[0], x)}
        memo: dict[str, Tensor] = {}
        for node in self._executed.nodes:
            inputs = [live[name] for name in node.inputs]
            params = {role: self._param(role, name, memo) for role, name in node.params.items()}
            if node.op == "batch_norm":
                y = self._batch_norm(node, inputs[0], params)
            else:
                y = TORCH_FUNCTIONS[node.op](node, inputs, params, self._executed.values[node.output])
            live[node.output] = self._on_grid(node.output, y)
        return live[self.graph.outputs[0]]

    def progress(self, t: float) -> None:
        """Drive every format's annealing; activation ranges stop moving half-way (S4: freeze late)."""
        for twin in self.weights.values():
            twin.progress(t)
        for grid in self.grids.values():
            grid.adapting = not grid.fixed and t < 0.5

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": lr}]

    def freeze(self) -> Graph:
        """The trained graph: weights through their formats, BatchNorm statistics and grids written back."""
        changed: dict[str, Format] = {name: twin.freeze() for name, twin in self.weights.items()}
        for node in self.graph.nodes:
            for role in STATISTICS:
                if role in node.params:
                    name = node.params[role]
                    changed[name] = Dense(getattr(self, _key(name)).cpu().numpy())
        moved = {name: grid.grid() for name, grid in self.grids.items() if not grid.fixed}
        return with_grids(replace(self.graph.with_weights(changed), pending=()), moved)

    def _on_grid(self, name: str, x: Tensor) -> Tensor:
        return self.grids[name](x) if name in self.grids else x

    def _param(self, role: str, name: str, memo: dict[str, Tensor]) -> Tensor:
        if role in STATISTICS:
            buffer: Tensor = getattr(self, _key(name))
            return buffer
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
