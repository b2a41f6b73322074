"""What a compressed network has to beat: smaller networks of the same design, a linear model, and trees.

Networks get the training that the user's network had, and int8 weights before and after a fine-tuning. Other
models are fitted on the flattened training inputs, and quantized, written and measured like every candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from smidgen.data.dataset import Splits
from smidgen.formats import Dense, Format
from smidgen.graph import Graph, Node
from smidgen.graph.cells import gate_weights
from smidgen.graph.coupling import channel_groups, remove
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import silent
from smidgen.methods.tune.fit import Fit
from smidgen.models import trees
from smidgen.models.recurrent import FORGET_BIAS
from smidgen.models.trees import BOOSTED, FOREST
from smidgen.numerics import Array
from smidgen.search.outcome import Candidate

if TYPE_CHECKING:
    from smidgen.learn.fit import FitSettings

LINEAR = "linear"
OTHER_MODELS = (LINEAR, BOOSTED, FOREST)
LARGEST_LINEAR = 50_000_000  # weights; to fit them takes gigabytes
WIDTHS = (0.75, 0.5, 0.35, 0.25)
FINE_TUNING = Fit(epochs=10)
WidthModel = Callable[[float, int], Graph]  # (width, seed) -> fresh weights


def other_models(data: Splits) -> tuple[str, ...]:
    """All but trees where targets are several values a sample: trees give one.

    None where they are so many that a linear model would dwarf any network, or hold more than the outputs.
    """
    if data.classes is not None or data.train.y.shape[1] == 1:
        return OTHER_MODELS
    weights = prod(data.train.inputs.shape[1:]) * data.train.y.shape[1]
    return (LINEAR,) if weights <= LARGEST_LINEAR else ()


def baseline_candidates(
    data: Splits, widths: Sequence[float] = WIDTHS, fine_tuning: Fit = FINE_TUNING
) -> list[Candidate]:
    """The other models, then all widths quantized after training, then all of them fine-tuned as well."""
    after, during = Recipe((AffineQuantization(),)), Recipe((AffineQuantization(), fine_tuning))
    found = [Candidate(r, width_name(w), "width baseline") for r in (after, during) for w in widths]
    return [*(Candidate(after, name, "other model") for name in other_models(data)), *found]


def baseline_networks(
    data: Splits,
    model: WidthModel,
    training: FitSettings,
    widths: Sequence[float] = WIDTHS,
    report: Callable[[float, str], None] = silent,
) -> dict[str, Callable[[int], Graph]]:
    """Name -> (seed -> trained float network), as `ArtifactEvaluator` takes them."""
    found: dict[str, Callable[[int], Graph]] = {
        width_name(width): partial(_trained, data, model, training, report, width) for width in widths
    }
    return found | {name: partial(_other_model, data, report, name) for name in other_models(data)}


def useful_widths(graph: Graph, widths: Sequence[float]) -> tuple[float, ...]:
    """`widths`, or none where every one gives the same network: trees and single layers have no channels."""
    return tuple(widths) if channel_groups(graph) else ()


def width_name(width: float) -> str:
    return f"width-{width:g}"


def narrowed(graph: Graph, width: float, seed: int) -> Graph:
    """The design of `graph` with the share `width` (0..1] of every layer's channels and fresh weights.

    Weights are He-normal, biases 0, BatchNorm is the identity; constants of the graph (input
    normalisation) stay. Matrices inside recurrences are uniform in +-1/sqrt(units), and the forget gate of an
    LSTM starts with a bias of 1. Ref: He et al. 2015 (arXiv 1502.01852), eq. 10.
    """
    if not 0 < width <= 1:
        raise ValueError(f"a width is above 0 and at most 1, not {width}")
    cut = [
        unit
        for group in channel_groups(graph)
        for unit in group.units[max(round(width * len(group.units)), 1) :]
    ]
    smaller = remove(graph, cut)
    rng = np.random.default_rng(seed)
    fresh: dict[str, Format] = {}
    for node in smaller.nodes:
        for role, name in node.params.items():
            shape = smaller.weights[name].shape
            if node.op == "scan":
                fresh[name] = Dense(_in_scan(name, node, shape, rng))
            elif (array := _initial(node.op, role, shape, rng)) is not None:
                fresh[name] = Dense(array)
    return replace(smaller.with_weights(fresh), name=f"{graph.name} x{width:g}")


def _initial(op: str, role: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array | None:
    if role == "weight":
        fan_in = int(np.prod(shape[1:]))
        weights: Array = rng.standard_normal(shape).astype(np.float32)
        return weights * np.float32(np.sqrt(2 / max(fan_in, 1)))
    if role == "bias" or (op == "batch_norm" and role in ("beta", "mean")):
        return np.zeros(shape, np.float32)
    return np.ones(shape, np.float32) if op == "batch_norm" else None


def _in_scan(name: str, scan: Node, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if len(shape) > 1:
        return rng.uniform(-(shape[0] ** -0.5), shape[0] ** -0.5, shape).astype(np.float32)
    forgets = scan.attrs["kind"] == "lstm" and name == (gate_weights(scan) or {}).get("forget.bias")
    return np.full(shape, FORGET_BIAS if forgets else 0.0, np.float32)


def _other_model(data: Splits, report: Callable[[float, str], None], name: str, seed: int) -> Graph:
    from smidgen.models import linear

    report(0.0, f"fitting {name}")
    return linear.fit(data, seed=seed) if name == LINEAR else trees.fit(data, name, seed)


def _trained(
    data: Splits,
    model: WidthModel,
    training: FitSettings,
    report: Callable[[float, str], None],
    width: float,
    seed: int,
) -> Graph:
    from smidgen.learn.fit import fit

    return fit(model(width, seed), data, training, seed=seed, report=report)
