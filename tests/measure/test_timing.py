import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest

from smidgen.errors import MissingExtra
from smidgen.measure.compare import onnxruntime_call
from smidgen.measure.timing import interleaved, latency, throughput
from tests.conftest import require


class Clock:
    """Time that passes only while something is done: the tests do not depend on how busy the machine is."""

    def __init__(self):
        self.now_ns = 0

    def spend(self, ms):
        self.now_ns += round(ms * 1e6)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(time, "perf_counter_ns", lambda: made.now_ns)
    return made


def test_latency_is_the_median_of_single_calls_in_milliseconds(clock):
    durations = iter([9.0] * 10 + [1.0] * 60 + [5.0] * 40)
    p50, p95 = latency(lambda: clock.spend(next(durations)), repeats=100)
    assert (p50.value, p95.value) == (1.0, 5.0)
    assert p50.spread == 4.0
    assert (p50.unit, p50.repeats, p50.how) == ("ms", 100, "measured")


def test_too_few_repeats_are_refused():
    with pytest.raises(ValueError, match="too few"):
        latency(lambda: None, repeats=99)


def test_alternatives_take_turns():
    order = []
    interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=100)
    assert order[-200:] == ["a", "b"] * 100


def test_a_slow_moment_of_the_machine_cancels_in_a_speedup(clock):
    moments = iter([2.0] * 20 + [2.0, 2.0, 8.0, 8.0] * 50)
    calls = {"slow": lambda: clock.spend(3 * next(moments)), "fast": lambda: clock.spend(next(moments))}
    found = interleaved(calls, repeats=100).speedup("slow", "fast")
    assert (found.value, found.spread) == (3.0, 0.0)


def test_throughput_takes_the_best_batch_size(clock):
    # A call costs 1 ms and 0.01 ms a sample, and twice that from 200 samples on.
    def run(size):
        clock.spend(1 + 0.01 * size if size < 200 else 1 + 0.02 * size)

    found = throughput(run, batches=(1, 100, 200), repeats=5)
    assert found.value == pytest.approx(100 / 0.002)
    assert (found.unit, found.spread) == ("1/s", 0)


def test_the_real_clock_runs():
    assert latency(lambda: time.sleep(0.001), repeats=100)[0].value >= 1


def onnx_model(path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "net", ports[:1], ports[1:], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_onnxruntime_is_timed_in_the_same_run(tmp_path):
    require(find_spec("onnxruntime"), "onnxruntime")
    x = np.ones((1, 64), np.float32)
    calls = {
        "ours": lambda: time.sleep(0.002),
        "theirs": onnxruntime_call(onnx_model(tmp_path / "m.onnx"), x),
    }
    assert 0 < interleaved(calls, repeats=100).speedup("theirs", "ours").value < 0.5


def test_without_onnxruntime_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"smidgen\[bench\]"):
        onnxruntime_call(tmp_path / "m.onnx", np.ones((1, 1), np.float32))
