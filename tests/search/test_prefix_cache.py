"""Work shared between recipes that begin alike: the same bytes, fewer steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from smidgen.codec.container import pack_smg
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.space import Space
from smidgen.methods.step import Context, Stage, Step
from smidgen.methods.tune.fit import Fit
from smidgen.search.prefix_cache import PrefixCache, memory_bytes
from tests.search.small import fresh, splits

applied: list[str] = []


@dataclass(frozen=True)
class Counting(Step):
    """Does next to nothing, and says so."""

    stage: ClassVar[Stage] = Stage.STRUCTURE

    tag: str = "a"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        applied.append(self.tag)
        ctx.notes.append(f"did {self.tag}")
        return replace(graph, name=graph.name + self.tag)

    def space(self, graph: Graph) -> Space:
        return {}


def recipe(tags: str) -> Recipe:
    return Recipe(tuple(Counting(tag) for tag in tags))


@pytest.fixture(autouse=True)
def nothing_applied():
    applied.clear()


def run(cache: PrefixCache, tags: str, base: str = "model", seed: int = 0) -> tuple[Graph, list[str]]:
    ctx = Context(None, fresh(), seed)
    graph, _ = cache.apply(recipe(tags), base, fresh, ctx)
    return graph, ctx.notes


def test_a_shared_prefix_is_carried_out_once():
    cache = PrefixCache()
    run(cache, "abc")
    graph, _ = run(cache, "abd")
    assert graph.name == "cornersabd"
    assert applied == ["a", "b", "c", "d"]


def test_the_number_of_steps_taken_over_is_told():
    cache = PrefixCache()
    found = [
        cache.apply(recipe(tags), "model", fresh, Context(None, fresh()))[1] for tags in ("ab", "ac", "ab")
    ]
    assert found == [0, 1, 2]


def test_a_network_is_not_loaded_where_a_prefix_is_known():
    cache = PrefixCache()
    run(cache, "a")
    cache.apply(recipe("ab"), "model", lambda: pytest.fail("loaded"), Context(None, fresh()))


def test_notes_of_the_shared_steps_are_repeated():
    cache = PrefixCache()
    run(cache, "abc")
    assert run(cache, "abd")[1] == ["did a", "did b", "did d"]
    assert run(cache, "abc")[1] == ["did a", "did b", "did c"]


def test_notes_from_before_are_not_kept():
    cache = PrefixCache()
    ctx = Context(None, fresh(), notes=["before"])
    cache.apply(recipe("a"), "model", fresh, ctx)
    cache.apply(recipe("a"), "model", fresh, ctx)
    assert ctx.notes == ["before", "did a", "did a"]


@pytest.mark.parametrize("other", [{"base": "width-0.5"}, {"seed": 1}])
def test_another_base_or_seed_shares_nothing(other):
    cache = PrefixCache()
    run(cache, "ab")
    run(cache, "ab", **other)
    assert applied == ["a", "b", "a", "b"]


def test_memory_is_bounded_and_the_longest_unused_go_first():
    room = memory_bytes((fresh(),))
    cache = PrefixCache(limit_bytes=2 * room)
    run(cache, "a")
    run(cache, "b")
    run(cache, "a")
    run(cache, "c")
    assert cache.nbytes == 2 * room
    run(cache, "a")
    assert applied == ["a", "b", "c"]
    run(cache, "b")
    assert applied == ["a", "b", "c", "b"]


def test_a_network_larger_than_the_limit_is_not_kept():
    cache = PrefixCache(limit_bytes=10)
    assert run(cache, "ab")[0].name == "cornersab"
    assert cache.nbytes == 0


def test_memory_counts_every_array_once():
    array = np.zeros(100, np.int16)
    assert memory_bytes(({"a": array, "b": [array, b"1234"]},)) == 204


def test_files_are_the_same_bytes_with_and_without_sharing():
    data, original, cache = splits(), fresh(), PrefixCache()
    begin = (GlobalMagnitude(sparsity=0.5, schedule="gradual"), Fit(epochs=1), AffineQuantization(bits=4))
    for steps in (begin, (*begin, Fit(epochs=1)), (*begin[:2], AffineQuantization(bits=2), Fit(epochs=1))):
        ctx = Context(data, original, seed=3)
        shared, _ = cache.apply(Recipe(steps), "model", lambda: original, ctx)
        alone = Context(data, original, seed=3)
        expected = Recipe(steps).apply(original, alone)
        assert pack_smg([lower(shared)]) == pack_smg([lower(expected)])
        assert ctx.notes == alone.notes
