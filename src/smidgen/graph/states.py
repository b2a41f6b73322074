"""Which outputs of a network are fed back as which inputs: the states of a streaming model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

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
        declared: `input=output` each; none: inputs and outputs, but for the first of each, that have the same
            shape and either the same name but for words like in, out, new, next (`h_in`/`h_out`,
            `state`/`new_state`) or a shape that no other one has.

    Raises:
        BadInput: a declared pair that does not exist, is used twice, or differs in shape.
    """
    pairs = tuple(_declared(graph, text) for text in declared) if declared else _by_name(graph)
    for which, names in (("input", [a for a, _ in pairs]), ("output", [b for _, b in pairs])):
        if twice := [name for name in names if names.count(name) > 1]:
            raise BadInput("states", f"{which} {twice[0]} is in two pairs", "each is one state", _REMEDY)
    return tuple(sorted(pairs, key=lambda pair: graph.inputs.index(pair[0])))


def with_states(graph: Graph, declared: Sequence[str] = ()) -> Graph:
    """`graph` that knows its states, those of `state_pairs`. Raises BadInput."""
    return replace(graph, states=state_pairs(graph, declared))


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
    given, made = list(graph.inputs[1:]), list(graph.outputs[1:])
    found = _matched(given, [*graph.outputs], lambda name: (graph.values[name].shape, _stem(name)))
    left = [name for name in given if name not in dict(found)]
    free = [name for name in made if name not in dict(found).values()]
    return (*found, *_matched(left, free, lambda name: graph.values[name].shape))


def _matched(
    given: Sequence[str], made: Sequence[str], key: Callable[[str], object]
) -> list[tuple[str, str]]:
    """The pairs of names whose key no other name of either side has."""
    counts = Counter(map(key, given)), Counter(map(key, made))
    by_key = {key(name): name for name in made}
    alone = [name for name in given if counts[0][key(name)] == counts[1][key(name)] == 1]
    return [(name, by_key[key(name)]) for name in alone]


def _stem(name: str) -> str:
    return re.sub(r"[_.\-]+", "_", _ENDS.sub("", name.lower())).strip("_")
