"""Late in a search: what nearly loses little enough is trained longer.

Exploring tries many recipes with short trainings. The smallest ones then often miss the allowed drop by less
than a longer training wins back, so that is tried before chance finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smidgen.methods.recipe import Recipe
from smidgen.methods.tune.fit import Fit
from smidgen.search.outcome import MODEL, Candidate, Point
from smidgen.search.result import Goal, frontier_of

LONGER = 3  # times as many epochs
MOST_EPOCHS = 200  # of one training


def near_misses(points: Sequence[Point], chosen: Point | None, goal: Goal) -> list[Candidate]:
    """Longer trained versions of what is smaller than `chosen` and fits the budget, most accurate first."""
    size = goal.costs[0]
    own = [p for p in points if p.candidate.base == MODEL and not goal.budget.fits(p.measurements)]
    smaller = [p for p in frontier_of(own, (size,)) if chosen is None or p.cost(size) < chosen.cost(size)]
    recipes = (longer_trained(p.candidate.recipe) for p in sorted(smaller, key=lambda p: -p.accuracy))
    return [Candidate(recipe) for recipe in recipes if recipe is not None]


def longer_trained(recipe: Recipe) -> Recipe | None:
    """`recipe` with every training `LONGER` times as long; None without training, or beyond all patience."""
    epochs = [step.epochs for step in recipe.steps if isinstance(step, Fit)]
    if not epochs or max(epochs) * LONGER > MOST_EPOCHS:
        return None
    return Recipe(
        tuple(replace(s, epochs=s.epochs * LONGER) if isinstance(s, Fit) else s for s in recipe.steps)
    )
