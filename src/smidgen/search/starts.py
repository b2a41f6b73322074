"""Recipes that every search tries first: what an experienced engineer would try, and every method once."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.methods.binarize.bwn import BinaryWeights
from smidgen.methods.distill.logits import Logits
from smidgen.methods.factorize.responses import ResponsePCA
from smidgen.methods.prune.channels import Channels
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.half import HalfPrecision
from smidgen.methods.quantize.ternary import TernaryWeights
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.recipe import Recipe, recipe_for, step_class
from smidgen.methods.share.codebook import WeightSharing
from smidgen.methods.step import Stage, Step
from smidgen.methods.tune.fit import Fit
from smidgen.search.pace import Pace


def starting_recipes(pace: Pace | None = None, methods: Sequence[str] = ()) -> list[Recipe]:
    """The quickest first, then what usually gains most, then one recipe for each of `methods` that these do
    not have, then variations: a short search has tried the best, a longer one everything.

    All trainings last `pace.usual_epochs`.
    """
    pace = pace or Pace()
    fit = Fit(epochs=pace.usual_epochs, batch_size=pace.batch_size)
    usual, variations = _hand_picked(fit)
    known = {step.name for recipe in usual for step in recipe.steps}
    others = [_first_try(step_class(name)(), fit) for name in methods if name not in known]
    return [*usual, *others, *(recipe for recipe in variations if recipe not in others)]


def _hand_picked(fit: Fit) -> tuple[list[Recipe], list[Recipe]]:
    """What usually gains most, and variations of it."""

    def trained(*steps: Step) -> Recipe:
        return Recipe((*steps, fit))

    usual = [
        Recipe((AffineQuantization(bits=8),)),
        *(Recipe((WeightQuantization(bits, rule="mse"),)) for bits in (8, 6, 4)),
        Recipe((HalfPrecision(),)),
        trained(AffineQuantization(bits=4)),
        trained(GlobalMagnitude(sparsity=0.8), fit, AffineQuantization(bits=4), Logits()),
        trained(GlobalMagnitude(sparsity=0.95), fit, AffineQuantization(bits=3), Logits()),
        trained(AffineQuantization(bits=2, first_last_bits=8), Logits()),
        trained(Channels(0.5), GlobalMagnitude(sparsity=0.9), fit, AffineQuantization(bits=4), Logits()),
    ]
    variations = [
        trained(Channels(ratio=0.5), fit, AffineQuantization(bits=4)),
        trained(GlobalMagnitude(sparsity=0.9), fit, AffineQuantization(bits=4), Logits()),
        trained(GlobalMagnitude(sparsity=0.98), fit, AffineQuantization(bits=3), Logits()),
        trained(GlobalMagnitude(sparsity=0.9), fit, WeightSharing(conv_bits=4, linear_bits=3)),
        trained(ResponsePCA(0.25, "weights"), fit, AffineQuantization(bits=4), Logits()),
        trained(Channels(ratio=0.3), fit, AffineQuantization(bits=8)),
        Recipe((TernaryWeights(), fit, AffineQuantization(bits=8))),
        Recipe((BinaryWeights(), fit, AffineQuantization(bits=8))),
        trained(AffineQuantization(bits=3)),
        trained(AffineQuantization(bits=2)),
        trained(AffineQuantization(bits=8)),
    ]
    return usual, variations


def _first_try(step: Step, fit: Fit) -> Recipe:
    """The step as it comes, with one training; beside few-valued weights 8 bits, in other layers 4."""
    return recipe_for(step, AffineQuantization(bits=8 if step.stage is Stage.WEIGHTS else 4), fit)
