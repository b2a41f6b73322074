"""Cross-layer equalization: channels of consecutive layers share out their ranges, the function stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.formats import Dense, Format
from smidgen.graph import Graph, Node
from smidgen.lower.canonical import canonical
from smidgen.methods.quantize._chains import Pair, neighbours
from smidgen.methods.space import Space
from smidgen.methods.step import Context, Needs, Stage, Step

Vector = npt.NDArray[np.float64]
SETTLED = 1e-3  # relative change of a scale that ends the sweeps: far below a step of an 8-bit grid
RANGE_OF_SCALES = 2.0**-20, 2.0**20  # a nearly dead channel must not leave float32


@dataclass(frozen=True)
class Equalize(Step):
    """For layers A, B with ReLU between: row i of A and its bias / s, column i of B * s, s = sqrt(r_A / r_B).

    r_A, r_B are the largest |w| of channel i in the two; afterwards both are sqrt(r_A r_B), so that one scale
    a tensor serves all channels. ReLU(x / s) = ReLU(x) / s keeps the function, up to float rounding. Pairs
    are swept until no scale moves any more. Convolutions (grouped and depthwise too) and linear layers pair
    up across ReLU, pooling, means over positions, zero padding, reshapes and transposes, wherever only B
    reads what A makes; BatchNorm is folded first. ReLU6 clamps at a fixed value, so it ends a chain (Nagel et
    al. put ReLU in its place, which is another function), as do residual additions and recurrent layers.
    Meant for `granularity: tensor`; a scale per channel already fits the rows of A.
    Ref: Nagel et al. 2019 (arXiv 1906.04721), section 4.1.

    Attributes:
        sweeps: the most passes over all pairs, at least 1.
        layers: only pairs of two of these layers (empty: all).
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE
    needs: ClassVar[Needs] = "nothing"

    sweeps: int = 20
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sweeps < 1:
            raise ValueError(f"sweeps must be at least 1, not {self.sweeps}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if any(value.grid is not None for value in graph.values.values()):
            ctx.notes.append(
                f"{self.name}: grids are declared already, put it before quantize; nothing changes"
            )
            return graph
        folded = canonical(graph)
        pairs = tuple(pair for pair in neighbours(folded) if self._chosen(pair))
        if not pairs:
            of = f" of {', '.join(self.layers)}" if self.layers else ""
            found = f"no two layers{of} have only ReLU or pooling between"
            ctx.notes.append(f"{self.name}: {found}, nothing changes")
            return graph
        equal, divided = equalized(folded, pairs, self.sweeps, ctx.report)
        if not divided:
            ctx.notes.append(f"{self.name}: the ranges of all channels agree already, nothing changes")
            return graph
        return equal

    def space(self, graph: Graph) -> Space:
        return {}

    def _chosen(self, pair: Pair) -> bool:
        return not self.layers or {pair.first.name, pair.second.name} <= set(self.layers)


def equalized(
    graph: Graph, pairs: tuple[Pair, ...], sweeps: int, report: Callable[[float, str], None]
) -> tuple[Graph, dict[str, Vector]]:
    """`graph` after at most `sweeps` passes over all pairs, until no scale moves any more.

    Also what the outputs [O] of each first layer were divided by, by its name: nothing where nothing moved.
    """
    divided: dict[str, Vector] = {}
    for number in range(sweeps):
        report(number / sweeps, f"equalizing {len(pairs)} pairs of layers")
        swept, found = _sweep(graph, pairs)
        if max((float(np.abs(np.log(s)).max(initial=0.0)) for s in found.values()), default=0.0) < SETTLED:
            break
        graph, divided = swept, {name: divided.get(name, 1.0) * scale for name, scale in found.items()}
    return graph, divided


def _sweep(graph: Graph, pairs: tuple[Pair, ...]) -> tuple[Graph, dict[str, Vector]]:
    """One pass over all pairs; what it divided the outputs of each first layer by."""
    found = {}
    for pair in pairs:
        found[pair.first.name] = scale = scales(graph, pair)
        graph = scaled(graph, pair, scale)
    return graph, found


def scales(graph: Graph, pair: Pair) -> Vector:
    """s = sqrt(r_A / r_B) of each channel [O of A]; 1 where a channel is all zero on one side."""
    made = np.abs(graph.weights[pair.first.params["weight"]].decode().astype(np.float64))
    row_ranges = made.reshape(made.shape[0], -1).max(axis=1, initial=0.0)
    read = _by_input(graph, pair.second)
    column_ranges = np.zeros_like(row_ranges)
    np.maximum.at(column_ranges, pair.channels, np.abs(read).max(axis=(1, 2), initial=0.0))
    live = (row_ranges > 0) & (column_ranges > 0)
    ratio = np.divide(row_ranges, column_ranges, out=np.ones_like(row_ranges), where=live)
    scale: Vector = np.clip(np.sqrt(ratio), *RANGE_OF_SCALES)
    return scale


def scaled(graph: Graph, pair: Pair, scale: Vector) -> Graph:
    """The same function with A's channels / `scale` and what B reads of them * `scale`."""
    first, second = pair.first.params, pair.second.params["weight"]
    changed: dict[str, Format] = {
        first["weight"]: _times(graph.weights[first["weight"]], _rows(graph, pair.first, 1 / scale))
    }
    if "bias" in first:
        bias = graph.weights[first["bias"]].decode()
        changed[first["bias"]] = Dense((bias / scale).astype(np.float32))
    changed[second] = _times(graph.weights[second], _columns(graph, pair.second, scale[pair.channels]))
    return graph.with_weights(changed)


def _groups(node: Node) -> int:
    return int(node.attrs.get("groups", 1))


def _by_input(graph: Graph, node: Node) -> npt.NDArray[np.float64]:
    """The layer's weight as [input channels, outputs that read one, kernel]."""
    weight = graph.weights[node.params["weight"]].decode().astype(np.float64)
    groups, per_group = _groups(node), weight.shape[-1]
    parts = weight.reshape(groups, weight.shape[0] // groups, -1, per_group)
    by_input: Vector = parts.transpose(0, 3, 1, 2).reshape(groups * per_group, *parts.shape[1:3])
    return by_input


def _rows(graph: Graph, node: Node, factors: Vector) -> Vector:
    """One factor an output channel, broadcastable to the weight."""
    rank = len(graph.weights[node.params["weight"]].shape)
    return factors.reshape(-1, *(1,) * (rank - 1))


def _columns(graph: Graph, node: Node, factors: Vector) -> Vector:
    """One factor an input channel, broadcastable to the weight."""
    outputs, *kernel, per_group = graph.weights[node.params["weight"]].shape
    groups = _groups(node)
    rows = np.repeat(factors.reshape(groups, per_group), outputs // groups, axis=0)
    return rows.reshape(outputs, *(1,) * len(kernel), per_group)


def _times(weight: Format, factors: Vector) -> Format:
    return weight.map_dense(lambda dense: Dense((dense * factors).astype(np.float32)))
