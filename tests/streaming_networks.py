"""A streaming network whose two states, of very different range, are stacked in one tensor."""

from __future__ import annotations

import numpy as np

from smidgen.formats import Affine
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.states import with_states
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import with_grids
from smidgen.methods.post_training import quantized_weights, weight_names
from smidgen.probe.calibration import calibrate
from smidgen.run.float_ops import run_float_all
from smidgen.run.stream import run_stream

INPUTS, HIDDEN = 4, 6


def stacked_memory() -> Graph:
    """x [4], memory [2, 6] (h in ±1, c in ±40) -> y [3], new_memory: a cell that counts while it is open."""
    rng = np.random.default_rng(5)
    b = GraphBuilder("stacked")
    x, memory = b.input("x", (INPUTS,)), b.input("memory", (2, HIDDEN))
    parts = [b.op("slice", [memory], name=f"row{i}", axis=0, start=i, stop=i + 1, step=1) for i in range(2)]
    h, c = (b.op("reshape", [part], name=f"state{i}", shape=(-1,)) for i, part in enumerate(parts))

    def gate(name: str, op: str, bias: float) -> str:
        fed = b.linear(
            x, rng.normal(size=(HIDDEN, INPUTS)) * 0.5, np.full(HIDDEN, bias), name=f"{name}.input"
        )
        back = b.linear(h, rng.normal(size=(HIDDEN, HIDDEN)) * 0.3, name=f"{name}.recurrent")
        return b.op(op, [b.op("add", [fed, back], name=f"{name}.sum")], name=name)

    kept = b.op("mul", [gate("forget", "sigmoid", 5.0), c], name="kept")
    written = b.op("mul", [gate("input", "sigmoid", 1.0), gate("cell", "tanh", 0.8)], name="written")
    following = b.op("add", [kept, written], name="c_next")
    shown = b.op("tanh", [following], name="squashed")
    new_h = b.op("mul", [gate("output", "sigmoid", 0.0), shown], name="h_next")
    rows = [b.op("reshape", [v], name=f"{v}.row", shape=(1, -1)) for v in (new_h, following)]
    stacked = b.op("concat", rows, name="new_memory", axis=0)
    y = b.linear(new_h, rng.normal(size=(3, HIDDEN)), name="y")
    return with_states(b.graph([y, stacked]))


def chunks(count: int, n: int = 5, seed: int = 3) -> list[tuple[np.ndarray]]:
    """Inputs of `n` streams, chunk by chunk."""
    return [(c,) for c in np.random.default_rng(seed).normal(size=(count, n, INPUTS)).astype(np.float32)]


def integers_of_stream(graph: Graph, count: int = 60) -> Graph:
    """`graph` in integers, calibrated on what it reads and carries in a stream."""
    bare = canonical(graph)
    stream = run_stream(bare, bare.states, chunks(count, seed=4), lambda x: run_float_all(bare, tuple(x)))
    grids = calibrate(bare, [inputs for inputs, _ in stream], 8)
    weights = quantized_weights(bare, dict.fromkeys(weight_names(bare), 8), Affine.fit)
    return lower(with_grids(bare, grids).with_weights(weights))
