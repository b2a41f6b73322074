"""Zero differing outputs across reference, native plan, host C, reloaded file and ONNX Runtime.

10,000 inputs a network, drawn uniformly from int8, so that saturation and every table entry are reached.
Writes results/agreement.{json,md}.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.common import progress, write_results
from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.measure.agreement import agreement, require_agreement
from smidgen.methods import Context, Recipe
from smidgen.models import cnn1d, lenet, mlp, resnet8

NETWORKS = {
    "MLP 784-128-64-10, int8": (mlp.build, (28, 28, 1), 10, "- quantize.affine: {}"),
    "LeNet-5, 4 bit, 80% sparse": (
        lenet.build,
        (28, 28, 1),
        10,
        "- prune.global_magnitude: {sparsity: 0.8}\n- quantize.affine: {bits: 4, granularity: group}",
    ),
    "1-D CNN (watch), 3 bit asymmetric": (
        cnn1d.build,
        (200, 6),
        7,
        "- quantize.affine: {bits: 3, symmetric: false}",
    ),
    "ResNet-8, int8 with 2-bit inner layers": (
        resnet8.build,
        (32, 32, 3),
        10,
        "- quantize.affine: {bits: 2, first_last_bits: 8}",
    ),
}
BACKENDS = ("native", "file", "c", "onnx")


def network(build: object, shape: tuple[int, ...], classes: int, recipe: str) -> Graph:
    """A lowered network with random weights, calibrated on noise: agreement does not depend on training."""
    graph = build(shape, classes, 1.0, 0)  # type: ignore[operator]
    x = np.random.default_rng(0).normal(size=(64, *shape)).astype(np.float32)
    part = Dataset(x, np.zeros(len(x), np.int64))
    ctx = Context(Splits(part, part, part, classes), graph)
    return lower(Recipe.from_yaml(recipe).apply(graph, ctx))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    count = parser.parse_args().inputs
    rows = []
    for name, (build, shape, classes, recipe) in progress(NETWORKS.items(), "networks"):
        graph = network(build, shape, classes, recipe)
        x = np.random.default_rng(1).integers(-128, 128, (count, *shape)).astype(np.int8)
        found = agreement(graph, x, BACKENDS)
        require_agreement(found)
        rows.append(
            {"network": name, "inputs": count, **{f"{a.backend} differing": a.differing for a in found}}
        )
    write_results(
        "agreement",
        "Outputs that differ from the exact reference",
        rows,
        "Measured. Inputs uniform over int8; weights random; every output byte of every input is compared.",
    )


if __name__ == "__main__":
    main()
