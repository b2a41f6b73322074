"""Every sampler keeps the promises of a Searcher. They are found by path: new files need no listing."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from smidgen.errors import BadInput
from smidgen.measurement import Measurement
from smidgen.methods.recipe import Recipe
from smidgen.search.outcome import Candidate, Evaluated, Outcome, Point, Rejected
from smidgen.search.samplers import sampler_class, sampler_names
from smidgen.search.searcher import Searcher
from smidgen.search.space import NONE, RecipeSpace
from tests.search.fakes import LABELS, METHODS, small_graph, starts

EACH = pytest.mark.parametrize("name", sampler_names())
TRIALS = 30


@pytest.fixture(scope="module")
def space() -> RecipeSpace:
    return RecipeSpace(small_graph(), METHODS)


def searcher(name: str, space: RecipeSpace, folder: Path, seed: int = 0) -> Searcher:
    made = sampler_class(name)(space, ("file_bytes",), folder / "journal.log", seed, starts())
    made.resume(())
    return made


def outcome(recipe: Recipe, salt: int = 0) -> Outcome:
    """A third is rejected; accuracy and size of the others follow from the recipe's text."""
    digest = zlib.crc32(recipe.to_yaml().encode(), salt)
    if digest % 3 == 0:
        return Rejected("0000", Candidate(recipe), "too large")
    size = Measurement("file_bytes", 100 + digest % 997, "B", "measured")
    run = Evaluated(0, 50 + digest % 49, LABELS, {size.name: size})
    return Point("0000", Candidate(recipe), (run,), Path("unused"))


def walk(made: Searcher, count: int, salt: int = 0) -> list[Recipe]:
    """Ask and tell `count` times."""
    asked = []
    for _ in range(count):
        asked.append(made.ask())
        made.tell(asked[-1], outcome(asked[-1], salt))
    return asked


@EACH
def test_the_same_seed_proposes_the_same_recipes(name: str, space: RecipeSpace, tmp_path: Path) -> None:
    folders = [tmp_path / part for part in "abc"]
    for folder in folders:
        folder.mkdir()
    first, again, other = (
        walk(searcher(name, space, folder, seed), TRIALS)
        for folder, seed in zip(folders, (0, 0, 1), strict=True)
    )
    assert first == again
    assert first != other


@EACH
def test_starting_recipes_come_first(name: str, space: RecipeSpace, tmp_path: Path) -> None:
    assert walk(searcher(name, space, tmp_path), 2) == starts()


@EACH
def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    name: str, space: RecipeSpace, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = walk(searcher(name, space, whole), TRIALS)
    found = [recipe for _ in range(3) for recipe in walk(searcher(name, space, parts), TRIALS // 3)]
    assert found == expected


@EACH
def test_a_recipe_that_was_under_way_is_asked_again(name: str, space: RecipeSpace, tmp_path: Path) -> None:
    first = searcher(name, space, tmp_path)
    walk(first, 7)
    cut_off = first.ask()
    assert searcher(name, space, tmp_path).ask() == cut_off


@EACH
def test_a_recipe_finished_by_a_killed_process_is_not_asked_again(
    name: str, space: RecipeSpace, tmp_path: Path
) -> None:
    first = searcher(name, space, tmp_path)
    walk(first, 7)
    cut_off = first.ask()
    second = sampler_class(name)(space, ("file_bytes",), tmp_path / "journal.log", 0, starts())
    second.resume([outcome(cut_off)])
    assert second.ask() != cut_off


@EACH
def test_every_proposal_is_legal_and_within_the_space(name: str, space: RecipeSpace, tmp_path: Path) -> None:
    for recipe in walk(searcher(name, space, tmp_path), TRIALS):
        assert space.holds(recipe)
        assert Recipe.from_yaml(recipe.to_yaml()) == recipe  # building one checks its order and settings
        chosen = space.parameters(recipe)
        assert all(chosen[slot.name] in slot.options for slot in space.slots)
        assert not any(slot.required and chosen[slot.name] == NONE for slot in space.slots)


@EACH
def test_a_searcher_to_which_all_is_rejected_still_proposes(
    name: str, space: RecipeSpace, tmp_path: Path
) -> None:
    made = searcher(name, space, tmp_path)
    for _ in range(TRIALS):
        recipe = made.ask()
        made.tell(recipe, Rejected("0000", Candidate(recipe), "too large"))
    assert space.holds(made.ask())


@EACH
def test_only_random_search_ignores_outcomes(name: str, space: RecipeSpace, tmp_path: Path) -> None:
    found = []
    for salt in range(2):
        (tmp_path / str(salt)).mkdir()
        found.append(walk(searcher(name, space, tmp_path / str(salt)), TRIALS, salt))
    assert (found[0] == found[1]) == (name == "random")


def test_an_unknown_sampler_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(BadInput, match=r"no 'grid'.*nsga2, random, tpe"):
        sampler_class("grid")
