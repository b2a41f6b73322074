"""The float32 twin of an integer network: its operators on real numbers, and nothing that rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from smidgen.emit.onnx_twin import TwinOnnxEmitter, twin_model
from smidgen.formats import Integer
from smidgen.graph import Graph
from smidgen.models import dscnn, resnet8
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.kernels.one_node import one_node
from tests.networks import noise_like
from tests.recurrent import integers_of_recurrent, recurrent_network, samples
from tests.run.test_native import lowered

HOST = load_target("generic-c")
NETWORKS = {
    "resnet8": lambda: lowered(resnet8.build((16, 16, 3), 5, 0.25)),
    "dscnn": lambda: lowered(dscnn.build((20, 10, 1), 5, 0.25)),
}


def operators(graph: Graph) -> list[str]:
    return [node.op_type for node in twin_model(graph).graph.node]


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_near_the_integers(name: str, tmp_path: Path) -> None:
    graph = NETWORKS[name]()
    into, out = (graph.values[port].grid for port in (graph.inputs[0], graph.outputs[0]))
    x = into.quantize(noise_like(graph, 20).train.x).astype(np.int8)
    made = TwinOnnxEmitter().emit(graph, HOST, tmp_path).run(into.dequantize(x))
    expected = out.dequantize(run_integer(graph, x))
    assert np.abs(made - expected).max() <= 0.05 * np.ptp(expected)


def test_a_recurrence_is_near_the_integers(tmp_path: Path) -> None:
    graph = integers_of_recurrent(recurrent_network("gru_before"))
    into, out = (graph.values[port].grid for port in (graph.inputs[0], graph.outputs[0]))
    x = into.quantize(samples(30)).astype(np.int8)
    made = TwinOnnxEmitter().emit(graph, HOST, tmp_path).run(into.dequantize(x))
    expected = out.dequantize(run_integer(graph, x))
    assert np.abs(made - expected).max() <= 0.05 * np.ptp(expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_rounds(name: str) -> None:
    found = operators(NETWORKS[name]())
    assert not {"QuantizeLinear", "DequantizeLinear", "Round", "Cast"} & set(found)


def test_relus_that_saturation_did_are_operators() -> None:
    graph = lowered(resnet8.build((16, 16, 3), 5, 0.25))
    relus = sum(graph.values[n.output].grid.zero == -128 for n in graph.nodes if n.op in ("q.conv", "q.add"))
    assert operators(graph).count("Relu") == relus == 7


def test_a_table_without_a_function_is_refused_by_name() -> None:
    graph = one_node("q.table", [(4,)], {"table": np.arange(256).astype(np.int8)})
    assert isinstance(graph.weights["table"], Integer)
    (problem,) = TwinOnnxEmitter().check(graph, HOST)
    assert str(problem) == "n: its table is no known function. Use the QDQ flavour."


def test_the_file_is_sound(tmp_path: Path) -> None:
    artifact = TwinOnnxEmitter().emit(NETWORKS["dscnn"](), HOST, tmp_path)
    onnx.checker.check_model(str(artifact.path), full_check=True)
