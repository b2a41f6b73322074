"""What a method gets to show in the verdict: four recipes, trained as long as the four dense baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from smidgen.graph import Graph
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.layer import LayerQuantization
from smidgen.methods.recipe import Recipe, recipe_for, step_class, step_names
from smidgen.methods.space import Choice, Range
from smidgen.methods.tune.fit import Fit

WIDTHS = (1.0, 0.5, 0.35, 0.25)
INT8 = AffineQuantization()
Settings = Mapping[str, Any]
# Two settings a method that show it at its usual work; other methods take two points of their space.
CHOSEN: Mapping[str, Sequence[Settings]] = {
    "prune.channels": ({"ratio": 0.3}, {"ratio": 0.5}),
    "prune.global_magnitude": ({"sparsity": 0.7}, {"sparsity": 0.9}),
    "quantize.affine": ({"bits": 4}, {"bits": 3}),
    "quantize.mixed": ({"tolerance_points": 1.0}, {"tolerance_points": 4.0}),
    "share.codebook": ({"conv_bits": 5, "linear_bits": 4}, {"conv_bits": 4, "linear_bits": 3}),
}


@dataclass(frozen=True)
class Entry:
    """One network: the dense one at `width`, then `recipe`."""

    width: float
    recipe: Recipe


def methods() -> tuple[str, ...]:
    """All steps that are to be judged. Training is none: every arm has it; nor is the repair of one layer."""
    return tuple(name for name in step_names() if name not in (Fit.name, LayerQuantization.name))


def baseline(training: Fit) -> tuple[Entry, ...]:
    """Dense networks of four widths in int8."""
    return tuple(Entry(width, Recipe((INT8, training))) for width in WIDTHS)


def arm(method: str, graph: Graph, training: Fit) -> tuple[Entry, ...]:
    """Four networks: two settings at the two largest widths, or all widths if there is nothing to set."""
    steps = [step_class(method)(**settings) for settings in CHOSEN.get(method) or _two(method, graph)]
    widths = WIDTHS[: len(WIDTHS) // len(steps)]
    return tuple(Entry(width, recipe_for(step, INT8, training)) for width in widths for step in steps)


def _two(method: str, graph: Graph) -> Sequence[Settings]:
    """Lower and upper part of the first thing that a search varies; the defaults if there is none."""
    step = step_class(method)()
    for name, domain in step.space(graph).items():
        whole = any(f.name == name and type(f.default) is int for f in fields(step))  # type: ignore[arg-type]
        values = [_within(domain, share) for share in (1 / 3, 2 / 3)]
        return [{name: round(value) if whole else value} for value in values]
    return [{}]


def _within(domain: Choice | Range, share: float) -> Any:
    if isinstance(domain, Choice):
        return domain.options[int(share * len(domain.options))]
    if domain.log:
        return domain.low * (domain.high / domain.low) ** share
    return domain.low + (domain.high - domain.low) * share
