"""What of a network is captured, and what is left to its own runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cost import macs
from smidgen.measure.coverage import coverage
from tests.networks import small_cnn


def shared() -> Graph:
    b = GraphBuilder("shared")
    x = b.input("x", (8,))
    weight = b.weight("w", np.eye(8, dtype=np.float32))
    for _ in range(2):
        x = b.op("linear", [x], {"weight": weight})
    return b.graph([x])


def test_macs_are_those_of_the_network_and_the_costliest_operator_comes_first() -> None:
    graph = small_cnn()
    found = coverage(graph)
    assert sum(use.macs for use in found.operators) == sum(macs(graph).values())
    assert found.operators[0].op == "conv"
    assert sum(use.count for use in found.operators) == len(graph.nodes)


def test_a_shared_weight_counts_once() -> None:
    (linear,) = coverage(shared()).operators
    assert (linear.count, linear.macs, linear.weight_bytes) == (2, 128, 4 * 64)


def test_a_captured_network_has_no_islands() -> None:
    found = coverage(small_cnn())
    assert found.islands == ()
    assert found.captured_share == 1


def test_islands_lower_the_share_and_say_what_helps(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    from smidgen.load import load

    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Hardmax", ["a"], ["y"])]
    graph = helper.make_graph(nodes, "g", port[:1], port[1:])
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), file)
    found = coverage(load(file))
    assert found.captured_share == 0.5
    assert [(i.source, bool(i.reason), bool(i.remedy)) for i in found.islands] == [("Hardmax", True, True)]
