"""Recurrence in integers: an independent loop, and every back end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs
from smidgen.emit.onnx import OnnxEmitter
from smidgen.errors import Unsupported
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.graph.scan import body_of
from smidgen.lower.schedule import check_schedulable, schedule
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import executable, layer_checksums, run_integer
from smidgen.targets.registry import load_target
from tests.kernels import loops
from tests.recurrent import (
    CELLS,
    FEATURES,
    HIDDEN,
    STEPS,
    cell,
    integers_of_recurrent,
    recurrent_network,
    samples,
)


def quantized(graph: Graph, x: np.ndarray) -> np.ndarray:
    value = graph.values[graph.inputs[0]]
    assert value.grid is not None
    return value.grid.quantize(x).astype(value.dtype)


class Loop:
    """The body of an integer scan in Python integers, operator by operator, for one sample."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.body = body_of(node, graph.weights)
        self.reverse = node.attrs["reverse"]
        self.weights = {name: executable(fmt) for name, fmt in self.body.weights.items()}

    def run(self, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """All hidden states in the order of the input, and the final states."""
        states = [
            np.full(self.body.values[name].shape, self.body.values[name].grid.zero)
            for name in self.body.inputs[1:]
        ]
        kept = []
        for row in reversed(x) if self.reverse else x:
            made = self.step(dict(zip(self.body.inputs, [row, *states], strict=True)))
            kept.append(made[0])
            states = made[1:]
        return kept[::-1] if self.reverse else kept, states

    def step(self, live: dict[str, np.ndarray]) -> list[np.ndarray]:
        for node in self.body.nodes:
            w = {role: self.weights[name] for role, name in node.params.items()}
            live[node.output] = self.compute(node, w, [live[name] for name in node.inputs])
        return [live[name] for name in self.body.outputs]

    def compute(self, node: Node, w: dict[str, np.ndarray], x: list[np.ndarray]) -> np.ndarray:
        zeros = [self.body.values[name].grid.zero for name in node.inputs]
        zero = self.body.values[node.output].grid.zero
        if node.op == "q.table":
            table = [int(v) for v in w["table"]]
            parts = [divmod(int(v) + 32768, 256) for v in x[0]]
            return np.array([table[k] + ((table[k + 1] - table[k]) * r + 128) // 256 for k, r in parts])
        bounds = (zero, node.attrs["lo"], node.attrs["hi"])
        if node.op == "q.add":
            multiplier = [int(m) for m in w["multiplier"]]
            return loops.add(x[0], x[1], tuple(zeros), multiplier, node.attrs["shift"], bounds)
        ratios = list(zip(w["multiplier"].tolist(), w["shift"].tolist(), strict=True))
        if node.op == "q.linear":
            return loops.linear(
                x[0], w["weight"], w["bias"], zeros[0], lambda o: ratios[o % len(ratios)], bounds
            )
        assert node.op == "q.mul"
        products = [(int(a) - zeros[0]) * (int(b) - zeros[1]) for a, b in zip(x[0], x[1], strict=True)]
        return np.array([loops.finish(v, ratios[0], bounds) for v in products])


@settings(max_examples=12)
@given(st.sampled_from(CELLS), st.booleans(), st.integers(0, 2**16))
def test_a_scan_equals_the_loop(kind: str, reverse: bool, seed: int) -> None:
    graph = integers_of_recurrent(recurrent_network(kind, seed, reverse))
    x = quantized(graph, samples(3, seed=seed))
    node = graph.node("layer")
    seen: dict[str, list[np.ndarray]] = {}
    run_integer(graph, x, lambda node, outputs: seen.setdefault(node.name, list(outputs)) and None)
    for i, sample in enumerate(x):
        kept, states = Loop(graph, node).run(sample)
        np.testing.assert_array_equal(seen["layer"][0][i], kept)
        for made, expected in zip(seen["layer"][1:], states, strict=True):
            np.testing.assert_array_equal(made[i], expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_every_back_end_agrees(kind: str, reverse: bool, tmp_path: Path) -> None:
    graph = integers_of_recurrent(recurrent_network(kind, 3, reverse))
    x = quantized(graph, samples(200))
    expected = run_integer(graph, x)
    plan = native_plan(graph)
    np.testing.assert_array_equal(plan.run(x), expected)
    assert plan.run_traced(x[:4])[1] == layer_checksums(graph, x[:4])
    np.testing.assert_array_equal(
        OnnxEmitter().emit(graph, load_target("x86-64"), tmp_path / "onnx").run(x), expected
    )
    emitted = CEmitter().emit(graph, load_target("generic-c"), tmp_path / "c")
    assert "agree in every layer" in emitted.selftest()
    np.testing.assert_array_equal(emitted.run(x[:50]), expected[:50])


@pytest.mark.parametrize("kind", CELLS)
def test_integers_stay_close_to_real_numbers(kind: str) -> None:
    real = recurrent_network(kind, 5)
    graph = integers_of_recurrent(real)
    x = samples(200, seed=9)
    grid = graph.values[graph.outputs[0]].grid
    made = grid.dequantize(run_integer(graph, quantized(graph, x)))
    expected = run_float(real, x)
    assert np.abs(made - expected).mean() < 0.02 * expected.std()


@pytest.mark.parametrize("kind", CELLS)
def test_a_stream_with_its_state_handed_on_equals_the_whole(kind: str) -> None:
    graph = integers_of_recurrent(recurrent_network(kind, 2, streaming=True, steps=2))
    x = quantized(graph, samples(10, steps=2 * STEPS))
    plan, states = native_plan(graph), []
    for start in range(0, 2 * STEPS, 2):
        _, *states = plan.run([x[:, start : start + 2], *states])
    loop = Loop(graph, graph.node("layer"))
    for i in range(10):
        for made, expected in zip(states, loop.run(x[i])[1], strict=True):
            np.testing.assert_array_equal(made[i], expected)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_stream_runs_as_c_and_onnx_with_states_of_16_bits(steps: int, tmp_path: Path) -> None:
    graph = integers_of_recurrent(recurrent_network("lstm", 4, streaming=True, steps=steps))
    inputs = list(random_inputs(graph, 40))
    expected = native_plan(graph).run(inputs)
    emitted = CEmitter().emit(graph, load_target("generic-c"), tmp_path / "c")
    assert "agree in every layer" in emitted.selftest()
    for made, wanted in zip(emitted.runner.run(inputs), expected, strict=True):
        np.testing.assert_array_equal(made, wanted)
    onnx = OnnxEmitter().emit(graph, load_target("x86-64"), tmp_path / "onnx")
    np.testing.assert_array_equal(onnx.run(inputs), expected[0])


def test_what_a_layer_multiplies_has_8_bits_and_the_rest_of_a_body_16() -> None:
    body = body_of(integers_of_recurrent(recurrent_network("lstm")).node("layer"))
    widths = {name: value.grid.bits for name, value in body.values.items()}
    assert {name for name, bits in widths.items() if bits == 8} == {"layer.x", "layer.h", "layer.next"}
    wide = [value.grid for value in body.values.values() if value.grid.bits == 16]
    assert all(grid.zero == 0 and np.log2(grid.scale).is_integer() for grid in wide)


def test_a_single_step_from_rest_lowers_too() -> None:
    """Its recurrent products are zero on all calibration data."""
    real = recurrent_network("gru_after", steps=1)
    graph = integers_of_recurrent(real)
    x = samples(50, steps=1)
    made = graph.values[graph.outputs[0]].grid.dequantize(native_plan(graph).run(quantized(graph, x)))
    assert np.abs(made - run_float(real, x)).mean() < 0.02


def test_gates_of_one_kind_share_their_table() -> None:
    graph = integers_of_recurrent(recurrent_network("lstm"))
    tables = {n.name: n.params["table"] for n in graph.walk() if n.op == "q.table"}
    assert tables["layer.input"] == tables["layer.forget"] == tables["layer.output"] != tables["layer.cell"]


def test_the_arena_holds_the_working_memory_of_a_body() -> None:
    program = schedule(integers_of_recurrent(recurrent_network("lstm")))
    (loop,) = [block for block in program.blocks if block.turns > 1]
    assert loop.turns == STEPS
    ends = [
        p.offset + p.nbytes + max(p.step, 0) * (call.turns - 1)
        for call in program.calls
        for p in call.pointers
        if p and p.space == "arena"
    ]
    assert max(ends) <= program.arena_bytes


def test_a_recurrence_inside_a_recurrence_runs_in_the_reference_alone() -> None:
    inner = GraphBuilder("body")
    rows, total = inner.input("rows", (2, FEATURES)), inner.input("total", (HIDDEN,))
    rng = np.random.default_rng(0)
    last = inner.scan(rows, cell("gru_after", rng, "inner"), name="inner")[1]
    following = inner.op("add", [total, last], name="following")
    outer = GraphBuilder("nested")
    x = outer.input("x", (STEPS, FEATURES))
    pairs = outer.op("reshape", [x], shape=(STEPS // 2, 2, FEATURES))
    (final,) = outer.scan(pairs, inner.graph([following]), name="outer")
    real = outer.graph(final)
    graph = integers_of_recurrent(real)
    made = graph.values[final].grid.dequantize(run_integer(graph, quantized(graph, samples(20))))
    assert np.abs(made - run_float(real, samples(20))).mean() < 0.05
    assert any("recurrence inside one" in problem for problem in check_schedulable(graph))
    with pytest.raises(Unsupported):
        schedule(graph)


def test_layers_of_two_directions_stack(tmp_path: Path) -> None:
    rng, builder = np.random.default_rng(0), GraphBuilder("stack")
    x = builder.input("x", (STEPS, FEATURES))
    ahead = builder.scan(x, cell("gru_after", rng, "ahead"), name="ahead")[0]
    back = builder.scan(x, cell("lstm", rng, "back"), reverse=True, name="back")[0]
    both = builder.op("concat", [ahead, back], axis=1)
    last = builder.scan(both, cell("gru_before", rng, "top", 2 * HIDDEN), name="top")[1]
    graph = integers_of_recurrent(builder.graph(builder.linear(last, rng.standard_normal((3, HIDDEN)))))
    x_int = quantized(graph, samples(100))
    expected = run_integer(graph, x_int)
    np.testing.assert_array_equal(native_plan(graph).run(x_int), expected)
    emitted = CEmitter().emit(graph, load_target("generic-c"), tmp_path)
    np.testing.assert_array_equal(emitted.run(x_int[:20]), expected[:20])


def test_a_memory_that_a_layer_reads_in_the_end_is_brought_to_8_bits() -> None:
    rng, builder = np.random.default_rng(0), GraphBuilder("memory")
    x = builder.input("x", (STEPS, FEATURES))
    memory = builder.scan(x, cell("lstm", rng, "layer"), kind="lstm", name="layer")[2]
    real = builder.graph(builder.linear(memory, rng.standard_normal((3, HIDDEN)), name="out"))
    graph = integers_of_recurrent(real)
    assert graph.values[graph.node("out").inputs[0]].dtype == "int8"
    x_int = quantized(graph, samples(50))
    np.testing.assert_array_equal(native_plan(graph).run(x_int), run_integer(graph, x_int))
