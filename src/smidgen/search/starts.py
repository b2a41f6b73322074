"""Hand-picked recipes that every search tries first: what an experienced engineer would try."""

from __future__ import annotations

from smidgen.methods.binarize.bwn import BinaryWeights
from smidgen.methods.distill.logits import Logits
from smidgen.methods.factorize.responses import ResponsePCA
from smidgen.methods.prune.channels import Channels
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.half import HalfPrecision
from smidgen.methods.quantize.ternary import TernaryWeights
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.share.codebook import WeightSharing
from smidgen.methods.step import Step
from smidgen.methods.tune.fit import Fit
from smidgen.search.pace import Pace


def starting_recipes(pace: Pace | None = None) -> list[Recipe]:
    """The quickest first, then what usually gains most, so that a short search has tried that.

    All trainings last `pace.usual_epochs`.
    """
    pace = pace or Pace()
    fit = Fit(epochs=pace.usual_epochs, batch_size=pace.batch_size)

    def trained(*steps: Step) -> Recipe:
        return Recipe((*steps, fit))

    return [
        Recipe((AffineQuantization(bits=8),)),
        *(Recipe((WeightQuantization(bits, rule="mse"),)) for bits in (8, 6, 4)),
        Recipe((HalfPrecision(),)),
        trained(AffineQuantization(bits=4)),
        trained(GlobalMagnitude(sparsity=0.8), fit, AffineQuantization(bits=4), Logits()),
        trained(GlobalMagnitude(sparsity=0.95), fit, AffineQuantization(bits=3), Logits()),
        trained(AffineQuantization(bits=2, first_last_bits=8), Logits()),
        trained(Channels(0.5), GlobalMagnitude(sparsity=0.9), fit, AffineQuantization(bits=4), Logits()),
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
