"""Hand-picked recipes that every search tries first: what an experienced engineer would try."""

from __future__ import annotations

from smidgen.methods.distill.logits import Logits
from smidgen.methods.factorize.responses import ResponsePCA
from smidgen.methods.prune.channels import Channels
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Step
from smidgen.methods.tune.fit import Fit

RECOVERY = Fit(epochs=10)
TRAINING = Fit(epochs=10)


def starting_recipes() -> list[Recipe]:
    """The quickest first, then what usually gains most, so that a short search has tried that."""
    return [
        Recipe((AffineQuantization(bits=8),)),
        _trained(AffineQuantization(bits=4)),
        _trained(GlobalMagnitude(sparsity=0.9), RECOVERY, AffineQuantization(bits=4), Logits()),
        _trained(Channels(ratio=0.5), RECOVERY, AffineQuantization(bits=4)),
        _trained(GlobalMagnitude(sparsity=0.8), RECOVERY, AffineQuantization(bits=4), Logits()),
        _trained(Channels(ratio=0.3), RECOVERY, AffineQuantization(bits=8)),
        _trained(ResponsePCA(0.25, "weights"), RECOVERY, AffineQuantization(bits=4), Logits()),
        _trained(AffineQuantization(bits=3)),
        _trained(AffineQuantization(bits=2)),
        _trained(AffineQuantization(bits=8)),
    ]


def _trained(*steps: Step) -> Recipe:
    return Recipe((*steps, TRAINING))
