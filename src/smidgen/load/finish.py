"""What every imported graph goes through before a user sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smidgen.graph import Graph
from smidgen.load.fuse import fuse
from smidgen.load.grids import declared
from smidgen.load.layout import simplify
from smidgen.load.steps import read_final_states


def finish(graph: Graph, outputs: Sequence[str] = ()) -> Graph:
    """Remove inner transposes, merge what exporters split, give outputs the user's names, and check."""
    simplified = simplify(graph)
    with_states = read_final_states(simplified)
    finished = declared(fuse(simplified if with_states is simplified else simplify(with_states)))
    for index, name in enumerate(outputs):
        finished = _named(finished, finished.outputs[index], name)
    finished.check()
    return finished


def _named(graph: Graph, value: str, name: str) -> Graph:
    """`graph` with `value` called `name`, unless it is an input or the name is taken."""
    made_by = graph.producer(value)
    if made_by is None or name in graph.values:
        return graph
    outputs = tuple(name if output == value else output for output in made_by.outputs)
    renamed = graph.replace(made_by.name, replace(made_by, outputs=outputs))
    values = {name if key == value else key: found for key, found in graph.values.items()}
    return replace(renamed, values=values).rename_value(value, name)
