import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.graph import GraphBuilder
from smidgen.graph.planner import plan_memory
from smidgen.lower.lowering import lower
from smidgen.lower.schedule import schedule
from smidgen.measure.accuracy import quantized_inputs
from smidgen.measure.memory import activation_bytes, host_ram, observed_live_bytes
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from tests.search.small import splits


def lowered(build):
    rng = np.random.default_rng(0)
    b = GraphBuilder("net")
    graph = b.graph(build(b, b.input("x", (8, 8, 1)), rng))
    data = splits((8, 8, 1))
    return lower(AffineQuantization().apply(graph, Context(data, graph))), data


def conv(b, x, rng, channels):
    return b.conv(x, rng.normal(size=(channels, 3, 3, b.shape(x)[-1])), np.zeros(channels), padding=1)


def observed(graph, data):
    return observed_live_bytes(graph, quantized_inputs(graph, data.train.x[:1]))


@settings(max_examples=15)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_the_planner_s_peak_is_what_a_run_keeps_alive(widths):
    def chain(b, x, rng):
        for channels in widths:
            x = conv(b, x, rng, channels)
        return x

    graph, data = lowered(chain)
    assert plan_memory(graph, alignment_bytes=1).live_peak_bytes == observed(graph, data)


def test_a_residual_connection_stays_alive_until_it_is_added():
    def residual(b, x, rng):
        x = conv(b, x, rng, 4)
        y = conv(b, conv(b, x, rng, 4), rng, 4)
        return conv(b, b.op("add", [x, y]), rng, 1)

    graph, data = lowered(residual)
    assert observed(graph, data) == 3 * 8 * 8 * 4
    # The sum may overwrite an operand, so the plan needs no third buffer for it.
    assert plan_memory(graph, alignment_bytes=1).live_peak_bytes <= observed(graph, data)


def test_ram_on_a_host_counts_buffers_and_weights():
    graph, _ = lowered(lambda b, x, rng: conv(b, conv(b, x, rng, 4), rng, 2))
    program = schedule(graph)
    buffers = 8 * 8 * 1 + 8 * 8 * 4 + 8 * 8 * 2
    assert activation_bytes(program) == buffers
    weights = sum(9 * i * o for i, o in ((1, 4), (4, 2)))
    assert host_ram(program).value >= buffers + weights
    assert host_ram(program).value == buffers + sum(c.array.nbytes for c in program.constants)
