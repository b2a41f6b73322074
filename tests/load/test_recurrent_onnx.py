"""Recurrent ONNX operators: the graph computes what onnxruntime does, in every combination of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.scan import sequences_of
from smidgen.load import load
from smidgen.run.float_ops import run_float_all
from smidgen.run.islands import islands
from tests.load.onnx_models import constant, floats, integers, op, write

N, T, FEATURES, H = 3, 5, 4, 6
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
WAYS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def weights(kind: str, ways: int, inputs: int = FEATURES) -> dict[str, np.ndarray]:
    rows = GATES[kind] * H
    shapes = {"w": (ways, rows, inputs), "r": (ways, rows, H), "b": (ways, 2 * rows)}
    return {name: 0.5 * floats(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}


def model(nodes: list[Any], arrays: dict[str, Any], inputs: dict[str, list[Any]], outputs: str) -> Any:
    kinds = {"tokens": TensorProto.INT64}
    ports = [
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
        for name, shape in inputs.items()
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()]
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "test", ports, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def layer(kind: str, inputs: str, outputs: str, **attrs: Any) -> Any:
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), name=kind.lower(), hidden_size=H, **attrs)


def expected(made: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(None, feed)]


def loaded(made: Any, folder: Path, feed: dict[str, np.ndarray], axes: list[int], out: list[int]) -> Graph:
    """The graph, which must agree with onnxruntime; `axes`, `out`: batch axes of inputs and outputs."""
    graph = load(write(made, folder / "model.onnx"), batch_axes=axes)
    given_ = [np.moveaxis(x, axis, 0).astype(np.float32) for x, axis in zip(feed.values(), axes, strict=True)]
    found = run_float_all(graph, given_)
    for mine, theirs, axis in zip(found, expected(made, feed), out, strict=True):
        np.testing.assert_allclose(mine, np.moveaxis(theirs, axis, 0), atol=1e-5)
    return graph


folder_is_reused = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@folder_is_reused
@given(
    kind=st.sampled_from([*GATES]),
    direction=st.sampled_from([*WAYS]),
    bias=st.booleans(),
    lengths=st.booleans(),
    states=st.booleans(),
    reset_after=st.integers(0, 1),
)
def test_any_layer_with_all_its_results(  # type: ignore[no-untyped-def]
    kind, direction, bias, lengths, states, reset_after, tmp_path
) -> None:
    ways, attrs = WAYS[direction], {"linear_before_reset": reset_after} if kind == "GRU" else {}
    names = ["Y", "Y_h", "Y_c"] if kind == "LSTM" else ["Y", "Y_h"]
    initial = ["h0", "c0"][: len(names) - 1] if states else []
    arrays = weights(kind, ways) | {"n": np.full(N, T, np.int32)}
    inputs = f"x w r {'b' if bias else '-'} {'n' if lengths else '-'} {' '.join(initial)}"
    nodes = [layer(kind, inputs, " ".join(names), direction=direction, **attrs)]
    shapes = {"x": [T, N, FEATURES], **{name: [ways, N, H] for name in initial}}
    feed = {name: floats(*shape, seed=5 + i) for i, (name, shape) in enumerate(shapes.items())}
    graph = loaded(
        model(nodes, arrays, shapes, " ".join(names)),
        tmp_path,
        feed,
        [1] * len(feed),
        [2, 1, 1][: len(names)],
    )
    assert not islands(graph)
    assert sum(node.op == "scan" for node in graph.nodes) == ways


@pytest.mark.parametrize("kind", GATES)
def test_batch_first_layout_means_the_same_as_its_transpose(kind: str, tmp_path: Path) -> None:
    arrays = weights(kind, 2)
    x = floats(N, T, FEATURES)
    made = model(
        [layer(kind, "x w r b", "Y Y_h", direction="bidirectional", layout=1)],
        arrays,
        {"x": [N, T, FEATURES]},
        "Y Y_h",
    )
    major = model(
        [layer(kind, "x w r b", "Y Y_h", direction="bidirectional")], arrays, {"x": [T, N, FEATURES]}, "Y Y_h"
    )
    found = run_float_all(load(write(made, tmp_path / "m.onnx")), x)
    y, h = expected(major, {"x": x.swapaxes(0, 1)})
    np.testing.assert_allclose(found[0], y.transpose(2, 0, 1, 3), atol=1e-5)
    np.testing.assert_allclose(found[1], h.transpose(1, 0, 2), atol=1e-5)


def stacked(readout: list[Any], **more: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Two bidirectional GRU layers as exporters write them, and a readout of Y [T, N, 2H] and the states."""
    second = {f"{name}2": array for name, array in weights("GRU", 2, 2 * H).items()}
    attrs = {"direction": "bidirectional", "linear_before_reset": 1}
    nodes = [
        op("Transpose", "x", "major", perm=[1, 0, 2]),
        layer("GRU", "major w r b", "Y1 h1", **attrs),
        op("Transpose", "Y1", "t1", perm=[0, 2, 1, 3]),
        op("Reshape", "t1 merged", "x2"),
        layer("GRU", "x2 w2 r2 b2", "Y2 h2", **attrs),
        op("Transpose", "Y2", "t2", perm=[0, 2, 1, 3]),
        op("Reshape", "t2 merged", "out"),
        op("Concat", "h1 h2", "h", axis=0),
        *readout,
    ]
    arrays = {**weights("GRU", 2), **second, "merged": integers(0, 0, -1), **more}
    for number, node in enumerate(nodes):
        node.name = f"node{number}"
    return model(nodes, arrays, {"x": ["n", T, FEATURES]}, "y"), {"x": floats(N, T, FEATURES, seed=9)}


READOUTS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "last step": (
        stacked(
            [op("Slice", "out s e a", "l"), op("Squeeze", "l a")],
            s=integers(-1),
            e=integers(2**62),
            a=integers(0),
        ),
        (0, 1, 1, 1),
    ),
    "last step by index": (stacked([op("Gather", "out i", axis=0)], i=np.int64(-1)), (0, 1, 1, 1)),
    "whole sequence": (stacked([op("Transpose", "out", perm=[1, 0, 2])]), (1, 1, 1, 1)),
    "states of the last layer": (
        stacked(
            [
                op("Gather", "h i", "f", axis=0),
                op("Gather", "h j", "b_", axis=0),
                op("Concat", "f b_", axis=1),
            ],
            i=np.int64(-2),
            j=np.int64(-1),
        ),
        (0, 0, 1, 1),
    ),
    "mean over time": (stacked([op("ReduceMean", "out", axes=[0], keepdims=0)]), (1, 1, 1, 1)),
}


@pytest.mark.parametrize("name", READOUTS)
def test_stacked_bidirectional_layers(name: str, tmp_path: Path) -> None:
    (made, feed), kept = READOUTS[name]
    graph = loaded(made, tmp_path, feed, [0], [0])
    assert not islands(graph)
    shown = sorted(len(sequences_of(node)) for node in graph.nodes if node.op == "scan")
    assert shown == list(kept)


def test_tokens_are_embedded(tmp_path: Path) -> None:
    nodes = [
        op("Gather", "table tokens", "e"),
        op("Transpose", "e", "x", perm=[1, 0, 2]),
        layer("LSTM", "x w r b", "- h"),
        op("Squeeze", "h zero"),
    ]
    arrays = {**weights("LSTM", 1), "table": floats(9, FEATURES), "zero": integers(0)}
    made = model(nodes, arrays, {"tokens": ["n", T]}, "y")
    tokens = np.random.default_rng(0).integers(0, 9, (N, T))
    graph = loaded(made, tmp_path, {"tokens": tokens}, [0], [0])
    assert [node.op for node in graph.nodes] == ["embedding", "scan"]
    assert not islands(graph)


def test_zero_states_made_for_the_batch_size_count_as_none(tmp_path: Path) -> None:
    nodes = [
        *(op("Shape", "x", "s"), op("Gather", "s one", "n"), op("Unsqueeze", "n zero", "n1")),
        *(op("Concat", "o n1 hidden", "shape", axis=0), op("ConstantOfShape", "shape", "h0")),
        layer("GRU", "x w r b - h0", "Y"),
    ]
    nodes[-1].output[0] = "y"
    arrays = {**weights("GRU", 1), "one": np.int64(1), "zero": integers(0), "o": integers(1)}
    made = model([constant("hidden", integers(H)), *nodes], arrays, {"x": [T, "n", FEATURES]}, "y")
    graph = loaded(made, tmp_path, {"x": floats(T, N, FEATURES)}, [1], [2])
    assert len(graph.node("gru").inputs) == 1


REFUSED = {
    "clips": (layer("GRU", "x w r b", "y", clip=1.0), "clips"),
    "activations": (layer("GRU", "x w r b", "y", activations=["HardSigmoid", "Tanh"]), "HardSigmoid"),
    "coupled gates": (layer("LSTM", "x w r b", "y", input_forget=1), "coupled"),
    "peepholes": (layer("LSTM", "x w r b - - - p", "y"), "peepholes"),
    "shorter sequences": (layer("RNN", "x w r b n", "y"), "shorter"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_variants_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    node, reason = REFUSED[name]
    arrays = weights(node.op_type, 1) | {"p": floats(1, 3 * H), "n": np.array([T, 2, T], np.int32)}
    path = write(model([node], arrays, {"x": [T, N, FEATURES]}, "y"), tmp_path / "m.onnx")
    with pytest.raises(BadInput, match=reason):
        load(path, batch_axes=1)


def test_a_batch_in_the_place_of_the_steps_is_refused(tmp_path: Path) -> None:
    made = model([layer("GRU", "x w r b", "y")], weights("GRU", 1), {"x": ["n", T, FEATURES]}, "y")
    with pytest.raises(BadInput, match=r"gru: axis 0 of its input is the batch.*batch_axes=1"):
        load(write(made, tmp_path / "m.onnx"))
