"""The native plan: equal to the reference bit for bit, clear about bad input, safe with corrupt code."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadFile, BadInput, Unsupported
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.lower.schedule import expand_weights
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import layer_checksums, run_integer
from tests.kernels.one_node import one_node, random_int8
from tests.networks import kitchen_sink, noise_like, small_cnn


def lowered(graph: Graph, bits: int = 8) -> Graph:
    return lower(AffineQuantization(bits=bits).apply(graph, Context(noise_like(graph), graph)))


def inputs(graph: Graph, n: int) -> np.ndarray:
    return random_int8(np.random.default_rng(1), n, *graph.values[graph.inputs[0]].shape)


@pytest.fixture(scope="module")
def sink() -> NativePlan:
    return native_plan(lowered(kitchen_sink()))


@pytest.mark.parametrize("network", [kitchen_sink, small_cnn])
@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("expand", [False, True])
def test_every_layer_equals_the_reference(network, bits: int, expand: bool) -> None:
    graph = lowered(network(), bits)
    graph = expand_weights(graph) if expand else graph
    x = inputs(graph, 5)
    y, checksums = native_plan(graph).run_traced(x)
    np.testing.assert_array_equal(y, run_integer(graph, x))
    assert checksums == layer_checksums(graph, x)


def test_each_sample_is_independent_of_the_batch(sink: NativePlan) -> None:
    x = inputs(sink.graph, 7)
    one_by_one = np.concatenate([sink.run(x[i : i + 1]) for i in range(7)])
    np.testing.assert_array_equal(sink.run(x), one_by_one)


def test_an_empty_batch_gives_an_empty_output(sink: NativePlan) -> None:
    assert sink.run(inputs(sink.graph, 0)).shape == (0, 5)


def test_several_inputs_and_outputs_are_tuples() -> None:
    graph = one_node("q.concat", [(2,), (3,)], {}, (-5, -5), axis=0)
    a, b = random_int8(np.random.default_rng(0), 4, 2), random_int8(np.random.default_rng(1), 4, 3)
    np.testing.assert_array_equal(native_plan(graph).run((a, b)), np.concatenate([a, b], axis=1))


def test_memory_layout_of_the_input_does_not_matter(sink: NativePlan) -> None:
    x = inputs(sink.graph, 4)
    scattered = np.asfortranarray(x)
    assert not scattered.flags.c_contiguous
    np.testing.assert_array_equal(sink.run(scattered), sink.run(x))


def test_read_only_inputs_are_accepted(sink: NativePlan) -> None:
    x = inputs(sink.graph, 2)
    x.flags.writeable = False
    assert sink.run(x).shape == (2, 5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((1, 12, 12, 3), np.float32), "of float32, but .*int8 is needed"),
        (np.zeros((1, 12, 12, 4), np.int8), r"\[1, 12, 12, 4\]"),
        (np.zeros((12, 12, 3), np.int8), r"\[12, 12, 3\]"),
        (np.int8(0) + np.zeros((), np.int8)[None], r"\[1\] of int8"),
        ([], "0 inputs, but the network takes 1"),
    ],
)
def test_bad_input_is_one_clear_error(sink: NativePlan, bad, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        sink.run(bad)


def test_inputs_of_different_batches_are_refused() -> None:
    plan = native_plan(one_node("q.concat", [(2,), (3,)], {}, (-5, -5), axis=0))
    with pytest.raises(BadInput, match="the first input has 2 samples"):
        plan.run((np.zeros((2, 2), np.int8), np.zeros((3, 3), np.int8)))


def test_a_trace_takes_one_sample(sink: NativePlan) -> None:
    with pytest.raises(BadInput, match="2 samples, but a trace takes one"):
        sink.trace(inputs(sink.graph, 2))


def test_a_trace_shows_every_node(sink: NativePlan) -> None:
    trace = sink.trace(inputs(sink.graph, 1))
    assert list(trace) == [node.name for node in sink.graph.nodes]
    assert all(trace[n.name].shape == sink.graph.values[n.output].shape for n in sink.graph.nodes)


def test_a_float_graph_is_refused() -> None:
    with pytest.raises(Unsupported, match="is float32"):
        native_plan(small_cnn())


def test_concurrent_runs_do_not_disturb_each_other(sink: NativePlan) -> None:
    batches = [random_int8(np.random.default_rng(i), 40, 12, 12, 3) for i in range(4)]
    expected = [sink.run(x) for x in batches]
    found: list[np.ndarray] = [np.zeros(0)] * 4

    def work(i: int) -> None:
        found[i] = sink.run(batches[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_plan_runs_without_torch() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from smidgen.formats import Grid, Integer\n"
        "from smidgen.graph import Graph, Node, Value\n"
        "from smidgen.run.native import native_plan\n"
        "v = Value((3,), 'int8', Grid(1.0, 0))\n"
        "t = Integer(np.arange(127, -129, -1).astype(np.int8))\n"
        "n = Node('n', 'q.table', ('x',), ('y',), {'table': 't'})\n"
        "g = Graph('g', (n,), {'x': v, 'y': v}, {'t': t}, ('x',), ('y',))\n"
        "print(native_plan(g).run(np.array([[1, 2, -3]], np.int8)).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[[-2, -3, 2]]", done.stderr


# Corrupt code


@pytest.fixture(scope="module")
def code() -> tuple[np.ndarray, np.ndarray]:
    return serialize(native_plan(expand_weights(lowered(kitchen_sink(), 4))).program)


@settings(max_examples=300)
@given(st.data())
def test_corrupt_code_is_refused_or_stays_inside_its_memory(code, data) -> None:
    """Whatever loads must run without touching foreign memory: a violation would crash the interpreter."""
    program, constants = code
    broken = program.copy()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        nearby = st.integers(-3, 3).map(
            lambda d, at=at: int(np.clip(int(broken[at]) + d, -(2**31), 2**31 - 1))
        )
        broken[at] = data.draw(
            st.one_of(nearby, st.integers(-(2**31), 2**31 - 1), st.sampled_from([-1, 0, 2**31 - 1]))
        )
    try:
        plan = load("broken", broken, constants)
    except BadFile:
        return
    arrays = [np.zeros(432, np.int8)], [np.zeros(5, np.int8)]
    ports_kept = (broken[2:6] == program[2:6]).all()  # numbers of inputs and outputs, and their bytes
    with nullcontext() if ports_kept else pytest.raises(ValueError, match="does not fit the plan"):
        plan.run(*arrays, 1, 1)


@pytest.mark.parametrize("keep", [0, 1, 3, 10, -1])
def test_truncated_code_is_refused(code, keep: int) -> None:
    with pytest.raises(BadFile, match="truncated"):
        load("short", code[0][:keep], code[1])


def test_missing_constants_are_refused(code) -> None:
    with pytest.raises(BadFile, match="leaves its memory"):
        load("poor", code[0], code[1][:64])


def test_unread_code_is_refused(code) -> None:
    with pytest.raises(BadFile, match="unread code"):
        load("long", np.append(code[0], np.int32(0)), code[1])


def test_a_loop_that_moves_no_pointer_is_refused(code) -> None:
    """It could run for years."""
    endless = code[0].copy()
    assert endless[7] == 1  # turns of the first block, behind the header of one input and one output
    endless[7] = 2**31 - 1
    with pytest.raises(BadFile, match="moves no pointer"):
        load("endless", endless, code[1])


def test_another_version_is_refused(code) -> None:
    newer = code[0].copy()
    newer[0] += 1
    with pytest.raises(BadFile, match="another version"):
        load("new", newer, code[1])


def test_every_call_of_a_plan_is_timed() -> None:
    plan = native_plan(lowered(small_cnn()))
    seconds = plan.layer_seconds(inputs(plan.graph, 1), repeats=5)
    assert list(seconds) == list(dict.fromkeys(call.node for call in plan.program.calls))
    assert all(value > 0 for value in seconds.values())
