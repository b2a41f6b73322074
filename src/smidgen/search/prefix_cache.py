"""Recipes that begin alike share the work: the network after every step is kept, the longest match goes on.

A step's result depends on the network, the data, the original and the seed, and on nothing else
(tests/contracts/test_steps.py), so going on from a kept network gives the same bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from smidgen.graph import Graph
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step

LIMIT_BYTES = 256 << 20

_Key = tuple[str, int, tuple[Step, ...]]


@dataclass(frozen=True)
class _Kept:
    """A network, what its steps had to say, and its memory."""

    graph: Graph
    notes: tuple[str, ...]
    nbytes: int


class PrefixCache:
    """For one data set and one original network; at most `limit_bytes`, the longest unused go first."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Memory of the kept arrays; those that two networks share count twice."""
        return sum(kept.nbytes for kept in self._kept.values())

    def apply(self, recipe: Recipe, base: str, load: Callable[[], Graph], ctx: Context) -> tuple[Graph, int]:
        """As `recipe.apply(load(), ctx)`; also the number of steps that needed no work.

        `base` names the network that `load` returns for `ctx.seed`. Notes of steps that are taken over are
        repeated.
        """
        done, kept = self._longest(base, ctx.seed, recipe.steps)
        graph, notes = (kept.graph, kept.notes) if kept else (load(), ())
        before = len(ctx.notes)
        ctx.notes.extend(notes)
        result = graph
        for length, result in enumerate(recipe.walk(graph, ctx, done), start=done + 1):
            self._keep((base, ctx.seed, recipe.steps[:length]), result, tuple(ctx.notes[before:]))
        return result, done

    def _longest(self, base: str, seed: int, steps: tuple[Step, ...]) -> tuple[int, _Kept | None]:
        for length in range(len(steps), 0, -1):
            key = (base, seed, steps[:length])
            if key in self._kept:
                self._kept.move_to_end(key)
                return length, self._kept[key]
        return 0, None

    def _keep(self, key: _Key, graph: Graph, notes: tuple[str, ...]) -> None:
        self._kept[key] = _Kept(graph, notes, memory_bytes((graph,)))
        while self.nbytes > self._limit_bytes:
            self._kept.popitem(last=False)


def memory_bytes(parts: Iterable[Any]) -> int:
    """Bytes of all arrays and byte strings within `parts`: dataclasses, mappings and sequences."""
    found: dict[int, int] = {}
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        if isinstance(part, np.ndarray):
            found[id(part)] = part.nbytes
        elif isinstance(part, bytes):
            found[id(part)] = len(part)
        elif isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, (tuple, list)):
            waiting.extend(part)
        elif is_dataclass(part):
            waiting.extend(getattr(part, field.name) for field in fields(part))
    return sum(found.values())
