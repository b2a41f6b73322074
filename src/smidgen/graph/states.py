"""Which outputs of a network are fed back as which inputs: the states of a streaming model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smidgen.errors import BadInput
from smidgen.graph.core import Graph

Pairs = tuple[tuple[str, str], ...]
# Words by which exporters tell the two ends of a state apart: h_in and h_out, cache and new_cache, …
_ENDS = re.compile(r"(?:^|(?<=[_.\-]))(?:in|out|input|output|new|next|prev|previous|n|0|1)(?=$|[_.\-])")
_REMEDY = "Name the pairs as INPUT=OUTPUT"


def state_pairs(graph: Graph, declared: Sequence[str] = ()) -> Pairs:
    """(input, output) of every state, in the order of the inputs.

    Args:
        graph: a network of which the first input is the stream.
        declared: `input=output` each; none: inputs and outputs that have the same shape and the same name but
            for words like in, out, new, next (`h_in`/`h_out`, `state`/`new_state`).

    Raises:
        BadInput: a declared pair that does not exist, is used twice, or differs in shape.
    """
    pairs = tuple(_declared(graph, text) for text in declared) if declared else _by_name(graph)
    for which, names in (("input", [a for a, _ in pairs]), ("output", [b for _, b in pairs])):
        if twice := [name for name in names if names.count(name) > 1]:
            raise BadInput("states", f"{which} {twice[0]} is in two pairs", "each is one state", _REMEDY)
    return tuple(sorted(pairs, key=lambda pair: graph.inputs.index(pair[0])))


def _declared(graph: Graph, text: str) -> tuple[str, str]:
    given, _, made = text.partition("=")
    if given not in graph.inputs or made not in graph.outputs:
        known = f"inputs {', '.join(graph.inputs)}; outputs {', '.join(graph.outputs)}"
        raise BadInput("states", f"{text!r} is no pair", known, _REMEDY)
    shapes = [list(graph.values[name].shape) for name in (given, made)]
    if shapes[0] != shapes[1]:
        raise BadInput("states", f"{text} has shapes {shapes[0]} and {shapes[1]}", "a state keeps its shape")
    return given, made


def _by_name(graph: Graph) -> Pairs:
    found, free = [], list(graph.outputs)
    for given in graph.inputs[1:]:
        shape = graph.values[given].shape
        fitting = [out for out in free if graph.values[out].shape == shape and _stem(out) == _stem(given)]
        if len(fitting) == 1:
            found.append((given, fitting[0]))
            free.remove(fitting[0])
    return tuple(found)


def _stem(name: str) -> str:
    return re.sub(r"[_.\-]+", "_", _ENDS.sub("", name.lower())).strip("_")
