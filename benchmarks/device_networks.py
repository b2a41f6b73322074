"""Networks whose memory is proven on devices: built-in architectures as integers, with random weights.

Bytes do not depend on training. ResNet-8, DS-CNN and the autoencoder have the shapes of MLPerf
Tiny (Banbury et al. 2021, arXiv 2106.07597).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from benchmarks.agreement import network
from benchmarks.mcu import INT8, autoencoder
from smidgen.graph import Graph
from smidgen.models import cnn1d, dscnn, gru, lenet, resnet8


@dataclass(frozen=True)
class Case:
    """An architecture, its input and outputs, and how it is compressed."""

    build: Callable[..., Graph]
    shape: tuple[int, ...]
    outputs: int
    recipe: str = INT8


CASES = {
    "LeNet-5": Case(lenet.build, (28, 28, 1), 10),
    "ResNet-8": Case(resnet8.build, (32, 32, 3), 10),
    "DS-CNN": Case(dscnn.build, (49, 10, 1), 12),
    "watch (1-D CNN)": Case(cnn1d.build, (200, 6), 7),
    "GRU": Case(gru.build, (49, 10), 12),
    "autoencoder": Case(autoencoder, (640,), 640),
    "LeNet-5, low rank": Case(
        lenet.build, (28, 28, 1), 10, f"- factorize.svd: {{keep: 0.3, by: weights}}\n{INT8}"
    ),
    "LeNet-5, codebook": Case(
        lenet.build, (28, 28, 1), 10, "- share.codebook: {conv_bits: 5, linear_bits: 3}"
    ),
    "LeNet-5, 80% sparse, 4 bit": Case(
        lenet.build,
        (28, 28, 1),
        10,
        "- prune.global_magnitude: {sparsity: 0.8}\n- quantize.affine: {bits: 4, granularity: group}",
    ),
}


@cache
def integers(name: str) -> Graph:
    """The lowered network `name` of `CASES`, calibrated on noise."""
    case = CASES[name]
    return network(case.build, case.shape, case.outputs, case.recipe)
