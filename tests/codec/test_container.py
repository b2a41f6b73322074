from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import pack_smg, read_smg, take_apart, unpack_smg, write_smg
from smidgen.errors import BadFile, BadInput, IllegalGraph
from smidgen.formats import Affine, Dense, Grid, Integer
from smidgen.graph import Graph, GraphBuilder
from tests.codec.networks import (
    assert_same,
    float_network,
    integer_network,
    nested_network,
    recurrent_float_network,
)
from tests.recurrent import integers_of_recurrent, recurrent_network


def recurrent_integers() -> Graph:
    return integers_of_recurrent(recurrent_network("lstm", reverse=True))


@pytest.mark.parametrize(
    "build", [integer_network, float_network, recurrent_float_network, recurrent_integers, nested_network]
)
def test_a_written_graph_comes_back_equal(build: Any, tmp_path: Path) -> None:
    graph, path = build(), tmp_path / "model.smg"
    length = write_smg(path, [graph], {"task": "digits", "ünïcode": "✓"})
    file = read_smg(path)
    assert_same(file.graph, graph)
    assert file.metadata == {"task": "digits", "ünïcode": "✓"}
    assert length == path.stat().st_size


attributes = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


def with_attribute(value: Any) -> Graph:
    build = GraphBuilder("one operator")
    return build.graph(build.op("relu", [build.input("x", (2,))], extra=value))


@given(attributes)
@settings(max_examples=100)
def test_attributes_keep_their_values_and_types(value: Any) -> None:
    stored = unpack_smg(pack_smg([with_attribute(value)])).graph
    assert repr(stored.nodes[0].attrs["extra"]) == repr(value)


def test_numpy_scalars_in_attributes_become_plain_numbers() -> None:
    stored = unpack_smg(pack_smg([with_attribute((np.int64(3), np.float32(0.5)))])).graph
    assert stored.nodes[0].attrs["extra"] == (3, 0.5)


@pytest.mark.parametrize("value", [{1, 2}, 2**70, object(), (1,) * 65, [[[[[[[[[[1]]]]]]]]]]])
def test_an_attribute_that_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(BadInput):
        pack_smg([with_attribute(value)])


@st.composite
def chains(draw: st.DrawFn) -> Graph:
    """Random networks of linear layers, additions and activations, with random grids, types and names."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    build = GraphBuilder(draw(st.text(max_size=5)))
    values = [build.input(f"in{i}", (4,)) for i in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, 6))):
        pick = st.sampled_from(values)
        op = draw(st.sampled_from(["linear", "add", "relu", "q.decode"]))
        if op == "linear":
            values.append(build.linear(draw(pick), rng.normal(size=(4, 4))))
        elif op == "q.decode":
            build.op("q.decode", [], {"weight": Integer(rng.integers(-9, 9, (2, 4)).astype(np.int8))})
        else:
            values.append(build.op(op, [draw(pick), draw(pick)][: 1 + (op == "add")]))
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
    graph = build.graph(outputs)
    grids = st.builds(Grid, st.floats(1e-30, 1e30), st.integers(-8, 7), st.sampled_from([4, 8, 16]))
    changed = {
        name: replace(
            value, dtype=draw(st.sampled_from(["float32", "int8", "int16"])), grid=draw(st.none() | grids)
        )
        for name, value in graph.values.items()
    }
    return graph.with_values(changed)


@given(chains())
@settings(max_examples=60)
def test_any_graph_comes_back_equal(graph: Graph) -> None:
    assert_same(unpack_smg(pack_smg([graph])).graph, graph)


def test_only_files_with_recurrence_require_it() -> None:
    assert "scan" in take_apart(pack_smg([nested_network()])).sections.features
    assert "scan" not in take_apart(pack_smg([float_network()])).sections.features


def test_scans_nested_deeper_than_readers_go_are_not_written() -> None:
    with pytest.raises(BadInput, match="nested over 2 deep"):
        pack_smg([nested_network(3)])


def test_the_structure_of_an_integer_lstm_takes_less_than_a_kilobyte() -> None:
    graph = integers_of_recurrent(recurrent_network("lstm"))
    assert take_apart(pack_smg([graph])).sections.structure_bytes < 1000


def test_a_tied_weight_is_stored_once() -> None:
    graph = float_network()
    assert len(take_apart(pack_smg([graph])).weights) == 3
    stored = unpack_smg(pack_smg([graph])).graph
    assert stored.nodes[0].params["weight"] == stored.nodes[2].params["weight"] == "tied"


def test_weights_equal_in_value_are_one_object_under_both_names() -> None:
    build = GraphBuilder("twice")
    x = build.input("x", (8,))
    array = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    graph = build.graph(build.linear(build.linear(x, array, name="a"), array.copy(), name="b"))
    stored = unpack_smg(pack_smg([graph])).graph
    assert stored.weights["a.weight"] is stored.weights["b.weight"]
    assert_same(stored, graph)


def test_a_second_graph_over_the_same_weights_costs_little(tmp_path: Path) -> None:
    graph = integer_network()
    narrow = replace(graph, name="early exit", nodes=graph.nodes[:1], outputs=("conv1",)).pruned()
    one = write_smg(tmp_path / "one.smg", [graph])
    two = write_smg(tmp_path / "two.smg", [graph, narrow])
    file = read_smg(tmp_path / "two.smg")
    assert two - one < 80
    assert file.graphs[0].weights["conv1.weight"] is file.graphs[1].weights["conv1.weight"]
    assert_same(file.graphs[1], narrow)


def test_the_structure_of_a_small_network_takes_under_three_hundred_bytes() -> None:
    sections = take_apart(pack_smg([integer_network()])).sections
    assert sections.structure_bytes < 300
    assert sections.header_bytes < 24


def test_sections_add_up_to_the_file() -> None:
    data = pack_smg([integer_network()])
    sections = take_apart(data).sections
    assert sections.header_bytes + sections.structure_bytes + len(sections.streams) == len(data)


def test_pending_unused_weights_and_unused_values_are_left_out() -> None:
    graph = replace(float_network(), pending=("a declaration",))
    extra = graph.with_weights({"unused": Dense(np.zeros(3, np.float32))})
    extra = extra.with_values({"unused": replace(graph.values["x"], shape=(99,))})
    assert_same(unpack_smg(pack_smg([extra])).graph, replace(graph, pending=()))


def test_a_grid_that_no_reader_would_take_is_not_written() -> None:
    graph = float_network()
    wrong = graph.with_values({"relu1": replace(graph.values["relu1"], grid=Grid(0.5, 300))})
    with pytest.raises(BadInput, match="zero point 300"):
        pack_smg([wrong])


def test_weights_that_would_change_in_a_file_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = integer_network()
    weight = graph.weights["conv2.weight"]
    assert isinstance(weight, Affine)
    lossy = replace(weight, scale=weight.scale * np.float32(1.0001))  # more digits than it says it has
    plain, leaves = Affine.leaves, weight.leaves()
    monkeypatch.setattr(Affine, "leaves", lambda self: leaves if self is lossy else plain(self))
    with pytest.raises(BadInput, match=r"conv2\.weight: its affine4 weights would change"):
        pack_smg([graph.with_weights({"conv2.weight": lossy})])


def test_an_illegal_graph_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    graph = float_network()
    with pytest.raises(IllegalGraph):
        write_smg(tmp_path / "model.smg", [replace(graph, nodes=graph.nodes[::-1])])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("graphs", "metadata"), [([], {}), ([float_network()], {"key": 3})])
def test_no_graph_and_odd_metadata_are_refused(graphs: list[Graph], metadata: Any) -> None:
    with pytest.raises(BadInput):
        pack_smg(graphs, metadata)


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.smg"
    path.write_bytes(b"old")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInput, match="No space left"):
        write_smg(path, [float_network()])
    assert [p.name for p in tmp_path.iterdir()] == ["model.smg"]
    assert path.read_bytes() == b"old"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(BadInput, match="taken"):
        write_smg(tmp_path / "taken" / "model.smg", [float_network()])


def test_a_file_that_does_not_exist_is_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"model\.smg: it can't be read"):
        read_smg(tmp_path / "model.smg")


def test_the_same_graph_makes_the_same_bytes() -> None:
    assert pack_smg([integer_network()]) == pack_smg([integer_network()])
