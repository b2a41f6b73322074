"""What a target can't do with a network, found without training or data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smidgen.emit.c import CEmitter
from smidgen.emit.emitter import Problem
from smidgen.emit.smg import SmgEmitter
from smidgen.formats import Affine, Grid
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import declared_grids, fixed_grids, grid_owners, wide_owners, with_grids
from smidgen.targets.target import Target

BITS = 8


def problems_of(graph: Graph, target: Target, limits: Mapping[str, float] | None = None) -> list[Problem]:
    """Everything at once: unsupported nodes, memory that can't fit. Float graphs are judged as int8 ones.

    `limits` (`flash_bytes`, `ram_bytes`) replace the target's own memory.
    """
    memory = {key: int(value) for key, value in (limits or {}).items() if key in ("flash_bytes", "ram_bytes")}
    device = target.model_copy(update=memory)
    whole = graph if graph.is_integer else as_int8(graph)
    islands = [_island_problem(node.name, node.attrs) for node in whole.nodes if node.op == "island"]
    emitter = SmgEmitter() if target.kind == "host" else CEmitter()
    named = {problem.node for problem in islands}
    return islands + [p for p in emitter.check(whole, device) if p.node not in named]


def as_int8(graph: Graph, weight_bits: int = BITS) -> Graph:
    """The integer graph of quantization on made-up ranges: right in all but its numbers.

    Values have 8 bits, weights `weight_bits`.
    """
    plain = canonical(replace(graph, pending=()))
    weights = {
        node.params["weight"]: plain.weights[node.params["weight"]].map_dense(
            lambda dense: Affine.fit(dense, weight_bits)
        )
        for node in plain.walk()
        if node.op in ("linear", "conv", "embedding")
    }
    narrow = dict.fromkeys(grid_owners(plain).values(), Grid.from_range(-1.0, 1.0, BITS))
    wide = dict.fromkeys(wide_owners(plain), Grid.wide(1.0))
    own = fixed_grids(plain) | declared_grids(plain)
    return lower(with_grids(plain.with_weights(weights), narrow | wide | own))


def _island_problem(name: str, attrs: Mapping[str, object]) -> Problem:
    return Problem(name, f"{attrs['source']} runs in float: {attrs['reason']}", str(attrs["remedy"]))
