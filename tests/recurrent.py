"""Small recurrent networks with random weights, and what they become."""

from __future__ import annotations

import numpy as np

from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cells import GATES, gru_cell, lstm_cell
from smidgen.lower.lowering import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context

STEPS, FEATURES, HIDDEN = 6, 4, 5
CELLS = ("gru_after", "gru_before", "lstm")


def cell(
    kind: str,
    rng: np.random.Generator,
    name: str,
    features: int = FEATURES,
    hidden: int = HIDDEN,
    sequence: bool = True,
    biases: bool = True,
) -> Graph:
    """A body of `kind` (one of CELLS) with normal weights."""
    shapes = {"input": (hidden, features), "recurrent": (hidden, hidden)}
    if biases:
        shapes |= {"bias": (hidden,)}
    weights = {
        f"{gate}.{role}": rng.standard_normal(shape).astype(np.float32) * 0.6
        for gate in GATES[kind]
        for role, shape in shapes.items()
    }
    if kind == "lstm":
        return lstm_cell(name, features, hidden, weights, sequence)
    if kind == "gru_after" and biases:
        weights["new.recurrent_bias"] = rng.standard_normal(hidden).astype(np.float32)
    reset = "after" if kind == "gru_after" else "before"
    return gru_cell(name, features, hidden, weights, reset, sequence)


def recurrent_network(
    kind: str, seed: int = 0, reverse: bool = False, streaming: bool = False, steps: int = STEPS
) -> Graph:
    """x [steps, FEATURES] through one layer into 3 outputs from its sequence and its last state.

    `streaming`: the states are further inputs and outputs.
    """
    rng, builder = np.random.default_rng(seed), GraphBuilder("recurrent")
    x = builder.input("x", (steps, FEATURES))
    states = ("h", "c") if kind == "lstm" else ("h",)
    initial = [builder.input(f"{name}0", (HIDDEN,)) for name in states] if streaming else []
    body = cell(kind, rng, "layer")
    sequence, *finals = builder.scan(x, body, kind=kind, initial=initial, reverse=reverse, name="layer")
    mean = builder.op("mean", [sequence], axes=(0,), keepdims=False)
    both = builder.op("concat", [mean, finals[0]], axis=0)
    out = builder.linear(both, rng.standard_normal((3, 2 * HIDDEN)), rng.standard_normal(3), "out")
    return builder.graph([out, *finals] if streaming else out)


def samples(n: int, steps: int = STEPS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, steps, FEATURES)).astype(np.float32)


def integers_of_recurrent(graph: Graph, bits: int = 8) -> Graph:
    """Calibrated on random samples and lowered."""
    steps = graph.values[graph.inputs[0]].shape[0]
    data = Dataset(samples(200, steps), np.arange(200) % 3)
    context = Context(Splits(data, data, data, 3), graph)
    return lower(AffineQuantization(bits=bits).apply(graph, context))
