"""Zero differing outputs across reference, native plan, host C, reloaded file and ONNX Runtime.

10,000 inputs a network, drawn uniformly from the input's grid, so that saturation and every table entry are
reached.
Writes results/agreement.{json,md}.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.common import progress, write_results
from smidgen.data.dataset import Dataset, Splits
from smidgen.emit.c_golden import random_inputs
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cells import GRU_GATES, LSTM_GATES, gru_cell, lstm_cell
from smidgen.lower import lower
from smidgen.measure.agreement import agreement, require_agreement
from smidgen.methods import Context, Recipe
from smidgen.models import cnn1d, dscnn, gru, lenet, lstm, mlp, resnet8


def two_directions(shape: tuple[int, ...], classes: int, width: float, seed: int) -> Graph:
    """Two layers, the first of both directions and both kinds of cells."""
    rng, builder = np.random.default_rng(seed), GraphBuilder("two-directions")
    x = builder.input("input", shape)
    units = round(32 * width)

    def weights(gates: tuple[str, ...], features: int) -> dict[str, np.ndarray]:
        shapes = {"input": (units, features), "recurrent": (units, units), "bias": (units,)}
        drawn = {(gate, role): rng.normal(size=size) / 8 for gate in gates for role, size in shapes.items()}
        return {f"{gate}.{role}": array for (gate, role), array in drawn.items()}

    extra = {"new.recurrent_bias": rng.normal(size=units) / 8}
    ahead = gru_cell("ahead", shape[1], units, weights(GRU_GATES, shape[1]) | extra)
    back = lstm_cell("back", shape[1], units, weights(LSTM_GATES, shape[1]))
    top = gru_cell("top", 2 * units, units, weights(GRU_GATES, 2 * units), reset="before")
    both = [builder.scan(x, ahead, name="ahead")[0], builder.scan(x, back, name="back", reverse=True)[0]]
    last = builder.scan(builder.op("concat", both, axis=1), top, name="top")[1]
    return builder.graph(builder.linear(last, rng.normal(size=(classes, units))))


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
    "DS-CNN, int8": (dscnn.build, (49, 10, 1), 12, "- quantize.affine: {}"),
    "MLP 784-128-64-10, low rank, 4 bit": (
        mlp.build,
        (28, 28, 1),
        10,
        "- factorize.svd: {keep: 0.3, by: weights}\n- quantize.affine: {bits: 4}",
    ),
    "LeNet-5, shared values, 80% sparse": (
        lenet.build,
        (28, 28, 1),
        10,
        "- prune.global_magnitude: {sparsity: 0.8}\n- share.codebook: {conv_bits: 5, linear_bits: 3}",
    ),
    "GRU, int8": (gru.build, (49, 10), 12, "- quantize.affine: {}"),
    "LSTM, 4 bit, half of the units": (
        lstm.build,
        (28, 28, 1),
        10,
        "- prune.channels: {ratio: 0.5}\n- quantize.affine: {bits: 4}",
    ),
    "GRU (reset before) over GRU and backward LSTM, int8": (
        two_directions,
        (28, 28),
        10,
        "- quantize.affine: {}",
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
        (x,) = random_inputs(graph, count)
        found = agreement(graph, x, BACKENDS)
        require_agreement(found)
        rows.append(
            {"network": name, "inputs": count, **{f"{a.backend} differing": a.differing for a in found}}
        )
    write_results(
        "agreement",
        "Outputs that differ from the exact reference",
        rows,
        "Measured. Inputs uniform over their grid, random weights; all bytes of all outputs are compared.",
    )


if __name__ == "__main__":
    main()
