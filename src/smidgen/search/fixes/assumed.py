"""The recipe that an artifact without one was probably made by, read off its weights and grids."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.formats import Affine
from smidgen.formats.affine import Granularity
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import STORED
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.layer import AsIs, LayerQuantization, granularity_of
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Step

RULES: tuple[RangeRule, ...] = ("minmax", "mse", "percentile")
Settings = tuple[int, Granularity, bool, RangeRule]  # bits, granularity, symmetric, rule


def assumed_recipe(original: Graph, artifact: Graph) -> Recipe:
    """One quantization with the settings that most weights of `artifact` have, then the exceptions by layer.

    Raises:
        BadInput: it holds weights that no quantization to an affine grid makes.
    """
    weights = {
        node.name: artifact.weights[node.params["weight"]]
        for node in artifact.walk()
        if node.op.removeprefix("q.") in STORED and "weight" in node.params
    }
    decoded = {n.params["weight"]: n.output for n in artifact.nodes if n.op == "q.decode"}
    for node in artifact.nodes:
        for name, output in decoded.items():
            if output in node.inputs:
                weights[node.name] = artifact.weights[name]
    affine = {name: fmt for name, fmt in weights.items() if isinstance(fmt, Affine)}
    if not affine or len(affine) < len(weights):
        other = next((fmt.label for fmt in weights.values() if not isinstance(fmt, Affine)), "nothing")
        found = f"B has no recipe.yaml beside it and holds {other}"
        raise BadInput("recipe", found, "it can't be told how B was made", "Pass --recipe")
    floats = _floats(original)
    settings = {name: _settings(fmt, floats.get(name)) for name, fmt in affine.items()}
    (common, _), *_ = Counter(settings.values()).most_common()
    bits, granularity, symmetric, rule = common
    size = max((fmt.group_size for fmt in affine.values()), default=0) or 32
    first: Step
    if artifact.is_integer:
        first = AffineQuantization(bits, granularity, symmetric, rule, size, _activation_bits(artifact))
    else:
        first = WeightQuantization(bits, granularity, rule, size)
    return Recipe((first, *(_exception(n, s, common) for n, s in settings.items() if s != common)))


def _settings(fmt: Affine, dense: npt.NDArray[np.float32] | None) -> Settings:
    granularity = granularity_of(fmt)
    rule: RangeRule = RULES[0]
    if dense is not None and dense.shape == fmt.shape:
        size = fmt.group_size or 32
        tried = {r: Affine.fit(dense, fmt.bits, granularity, fmt.zero is None, r, size) for r in RULES}
        rule = next((r for r, made in tried.items() if np.array_equal(made.scale, fmt.scale)), rule)
    return fmt.bits, granularity, fmt.zero is None, rule


def _exception(name: str, settings: Settings, common: Settings) -> LayerQuantization:
    bits, granularity, _, rule = settings
    other: Granularity | AsIs = "" if granularity == common[1] else granularity
    return LayerQuantization(name, bits, other, rule)


def _floats(original: Graph) -> dict[str, npt.NDArray[np.float32]]:
    """The float weights, BatchNorm folded, by layer."""
    graph = canonical(original)
    nodes = (node for node in graph.walk() if node.op in STORED)
    return {node.name: graph.weights[node.params["weight"]].latent for node in nodes}


def _activation_bits(artifact: Graph) -> int:
    """Of most values, 2..8."""
    grids = [
        v.grid.bits for v in artifact.values.values() if v.grid and v.dtype == "int8" and v.grid.bits <= 8
    ]
    return Counter(grids).most_common(1)[0][0] if grids else 8
