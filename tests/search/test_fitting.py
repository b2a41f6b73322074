"""Remedies: the bytes they promise are those of the recipe itself."""

from __future__ import annotations

import pytest

from smidgen.lower import lower
from smidgen.measure.memory_map import memory_map
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.search.fixes.fitting import Remedy, remedies
from smidgen.targets import load_target
from tests.networks import noise_like, small_cnn, small_gru

M4 = load_target("cortex-m4")


@pytest.mark.parametrize("build", [small_cnn, small_gru])
def test_the_bytes_are_those_of_the_calibrated_recipe(build) -> None:
    graph = build()
    for remedy in remedies(graph, M4, {}):
        steps = "\n".join(f"- {step}" for step in remedy.recipe.split(" + "))
        made = lower(Recipe.from_yaml(steps).apply(graph, Context(noise_like(graph), graph)))
        found = memory_map(made, M4)
        assert (found.model_bytes, found.ram_bytes) == (remedy.model_bytes, remedy.ram_bytes), remedy.recipe


def test_those_that_fit_come_first() -> None:
    found = remedies(small_cnn(), M4, {"flash_bytes": 1200, "ram_bytes": 3000})
    fits = [remedy.fits for remedy in found]
    assert fits == sorted(fits, reverse=True)
    assert any(fits)
    assert not all(fits)
    assert all(remedy.model_bytes <= 1200 for remedy in found if remedy.fits)


def test_without_limits_everything_fits() -> None:
    assert all(isinstance(remedy, Remedy) and remedy.fits for remedy in remedies(small_cnn(), M4, {}))
