"""Small integer graphs that emitters, runners and targets are tested with."""

from __future__ import annotations

from functools import cache

import numpy as np

from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.share.codebook import WeightSharing
from smidgen.methods.step import Context, Step
from tests.networks import binary_cnn, few_bits_cnn, kitchen_sink, noise_like, packs_cnn, small_cnn

NETWORKS = (
    "sink",
    "int8",
    "int4",
    "groups",
    "asymmetric",
    "sparse",
    "very sparse",
    "codebook",
    "sparse codebook",
    "binary",
    "few bits",
    "packs",
)


@cache
def integer_network(name: str) -> Graph:
    """One of `NETWORKS`: every operator, then the same small CNN in different weight formats."""
    if name == "sink":
        return integers_of(kitchen_sink())
    if name == "binary":
        return integers_of(binary_cnn())
    if name == "packs":
        return integers_of(packs_cnn())
    if name == "few bits":
        return integers_of(few_bits_cnn())
    settings = {
        "int8": AffineQuantization(),
        "int4": AffineQuantization(bits=4),
        "groups": AffineQuantization(bits=3, granularity="group", group_size=9),
        "asymmetric": AffineQuantization(bits=5, symmetric=False),
        "sparse": AffineQuantization(bits=4),
        "very sparse": AffineQuantization(bits=4),
        "codebook": WeightSharing(4, 4),
        "sparse codebook": WeightSharing(4, 4),
    }
    sparsity = {"sparse": 0.5, "very sparse": 0.95, "sparse codebook": 0.8}.get(name, 0.0)
    return integers_of(small_cnn(), settings[name], sparsity)


def integers_of(graph: Graph, quantization: Step | None = None, sparsity: float = 0.0) -> Graph:
    """`graph` quantized after calibration on noise, pruned before if asked, and lowered."""
    ctx = Context(noise_like(graph), graph)
    if sparsity:
        graph = GlobalMagnitude(sparsity=sparsity).apply(graph, ctx)
    return lower((quantization or AffineQuantization()).apply(graph, ctx))


def random_integers(graph: Graph, n: int, seed: int = 1) -> np.ndarray:
    """int8 [n, ...] over the whole range of the graph's only input."""
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (n, *graph.values[graph.inputs[0]].shape)).astype(np.int8)
