"""Runs a network with states over a stream: what it returns as a state, it is given with the next chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.states import Pairs
from smidgen.numerics import Array
from smidgen.run.rest import at_rest

Run = Callable[[Sequence[Array]], Sequence[Array]]  # all inputs -> all outputs


def run_stream(
    graph: Graph, pairs: Pairs, chunks: Iterable[Sequence[Array]], run: Run
) -> Iterator[tuple[tuple[Array, ...], tuple[Array, ...]]]:
    """(all inputs, all outputs) for each chunk; states start at rest.

    Args:
        graph: float or integer; tells the order of inputs and outputs, their types and grids.
        pairs: of `graph.states.state_pairs`.
        chunks: the inputs that are no states, [n, ...] each, of the types that `run` takes.
        run: a back end, e.g. `partial(run_float_all, graph)` or a native plan's `run`.

    Raises:
        BadInput: a chunk has not one array for each input that is no state.
    """
    fed = dict(pairs)
    free = [name for name in graph.inputs if name not in fed]
    states: dict[str, Array] = {}
    for chunk in chunks:
        if len(chunk) != len(free):
            raise BadInput(
                graph.name, f"a chunk of {len(chunk)} arrays", f"one for each of {', '.join(free)}"
            )
        given = dict(zip(free, chunk, strict=True))
        rest = {name: at_rest(graph.values[name], len(chunk[0])) for name in fed if name not in states}
        inputs = tuple((given | rest | states)[name] for name in graph.inputs)
        outputs = tuple(run(inputs))
        made = dict(zip(graph.outputs, outputs, strict=True))
        states = {name: _carried(graph, name, out, made[out]) for name, out in pairs}
        yield inputs, outputs


def _carried(graph: Graph, given: str, made: str, state: Array) -> Array:
    """The state as the input takes it: the same real number, where the two ends have grids of their own."""
    source, target = graph.values[made], graph.values[given]
    if source.dtype == target.dtype and (source.dtype == "float32" or source.grid == target.grid):
        return state
    real = state if source.dtype == "float32" or source.grid is None else source.grid.dequantize(state)
    if target.dtype == "float32" or target.grid is None:
        return np.asarray(real, dtype=target.dtype)
    return target.grid.quantize(real).astype(target.dtype)
