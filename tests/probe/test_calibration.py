"""Statistics of activations: what they are, however the samples came, and in bounded memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from smidgen.formats import Grid
from smidgen.graph import Graph
from smidgen.graph.build import GraphBuilder
from smidgen.lower.canonical import canonical
from smidgen.probe.calibration import BATCH_BYTES, MAX_BATCH, RESERVOIR, Range, batch_size, calibrate
from smidgen.probe.parallel import ordered_map, thread_count
from smidgen.run.float_ops import run_float
from tests.networks import small_cnn


@pytest.fixture(scope="module")
def graph() -> Graph:
    return canonical(small_cnn())


def samples(graph: Graph, n: int) -> np.ndarray:
    shape = graph.values[graph.inputs[0]].shape
    return np.random.default_rng(3).normal(size=(n, *shape)).astype(np.float32)


def test_output_grid_spans_what_the_network_made(graph: Graph) -> None:
    x = samples(graph, 40)
    y = run_float(graph, x)
    grids = calibrate(graph, [x[:16], x[16:]], 8)
    assert grids[graph.outputs[0]] == Grid.from_range(float(y.min()), float(y.max()), 8)


@pytest.mark.parametrize("rule", ["minmax", "mse"])
def test_number_of_threads_changes_nothing(graph: Graph, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(graph, 40)
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(calibrate(graph, np.split(x, 8), 8, rule))  # type: ignore[arg-type]
    assert found[0] == found[1]


def test_peak_memory_does_not_grow_with_the_number_of_samples(graph: Graph) -> None:
    x = samples(graph, 64)

    def peak(batches: int) -> int:
        tracemalloc.start()
        calibrate(graph, (x + i for i in range(batches)), 8)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(2)  # what is made once
    assert peak(80) < 1.2 * peak(20)


def test_reservoir_keeps_old_and_new_in_proportion() -> None:
    seen, rng = Range(), np.random.default_rng(0)
    for level in range(4):
        seen.update(np.full(3 * RESERVOIR, float(level)), rng)
    shares = np.bincount(seen.sample.astype(int), minlength=4) / seen.sample.size
    assert seen.sample.size == RESERVOIR
    assert np.abs(shares - 0.25).max() < 0.05


def test_batches_shrink_where_layers_are_large() -> None:
    def one_layer(size: int) -> Graph:
        b = GraphBuilder("wide")
        x = b.input("x", (size,))
        return b.graph([b.op("relu", [x])])

    assert batch_size(one_layer(10)) == MAX_BATCH
    assert batch_size(one_layer(BATCH_BYTES // 4 // 10)) == 5
    assert batch_size(one_layer(BATCH_BYTES)) == 1


def test_a_stream_is_read_no_faster_than_it_is_worked_on() -> None:
    read, done = [], []

    def source() -> Iterator[int]:
        for n in range(50):
            read.append(n)
            assert len(read) - len(done) <= 4
            yield n

    assert [done.append(n) or n for n in ordered_map(lambda n: n * n, source(), 3)] == [
        n * n for n in range(50)
    ]  # type: ignore[func-returns-value]


def test_an_error_in_a_thread_is_raised_and_ends_all_threads() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda n: 1 // n, [2, 1, 0, 1], 2))
    assert threading.active_count() == before


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert thread_count() == 5
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count() >= 1
