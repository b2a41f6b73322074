"""Networks as LiteRT files: nearly the integers of ours, or refused by name."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from smidgen.emit.litert import litert_model
from smidgen.errors import Unsupported
from smidgen.graph import Graph, GraphBuilder
from smidgen.models import cnn1d, dscnn, resnet8
from smidgen.run.reference import run_integer
from tests.conftest import require
from tests.kernels.one_node import one_node
from tests.networks import kitchen_sink, noise_like, small_cnn
from tests.recurrent import integers_of_recurrent, recurrent_network
from tests.run.test_native import lowered


def pools_and_functions() -> Graph:
    """Even windows with padding on one side, average pools, functions, a residual, three axes at the end."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("pools")
    x = b.input("x", (9, 8, 4))
    h = b.op("relu6", [b.conv(x, rng.normal(size=(8, 2, 3, 4)), stride=2, padding=1)])
    h = b.op("add", [h, b.op("tanh", [h])])
    h = b.pool("max", b.op("hardswish", [h]), 3, 2, 1)
    h = b.pool("avg", b.op("sigmoid", [h]), 2)
    h = b.op("mul", [h, h])
    h = b.flatten(b.op("transpose", [h], perm=(2, 0, 1)))
    return b.graph(b.op("softmax", [b.linear(h, rng.normal(size=(5, b.shape(h)[0])))]))


NETWORKS = {
    "small_cnn": small_cnn,
    "pools": pools_and_functions,
    "resnet8": lambda: resnet8.build((16, 16, 3), 5, 0.25),
    "dscnn": lambda: dscnn.build((20, 10, 1), 5, 0.25),
    "cnn1d": lambda: cnn1d.build((40, 3), 5),
}


def run_litert(content: bytes, x: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(into["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(into["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(out["index"])


def need_litert() -> None:
    require(importlib.util.find_spec("ai_edge_litert"), "ai-edge-litert")


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_nearly_the_integers(name: str) -> None:
    need_litert()
    graph = lowered(NETWORKS[name]())
    grid = graph.values[graph.inputs[0]].grid
    x = grid.quantize(noise_like(graph, 16).train.x).astype(np.int8)
    expected = run_integer(graph, x).astype(int)
    off = np.abs(run_litert(litert_model(graph), x) - expected)
    assert off.max() <= 4
    assert off.mean() <= 0.5
    assert np.ptp(expected) > 50


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (lambda: integers_of_recurrent(recurrent_network("lstm")), "layer: no int8 operator for q.scan"),
        (lambda: lowered(kitchen_sink()), "no operator for its table"),
        (
            lambda: one_node("q.transpose", [(2, 3)], {}, (-5,), perm=(1, 0), bits=(16,), out_bits=16),
            "x0: int16 values",
        ),
    ],
)
def test_what_it_can_not_compute_is_named(graph, why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        litert_model(graph())


def test_the_same_network_gives_the_same_bytes() -> None:
    need_litert()
    graph = lowered(small_cnn())
    assert litert_model(graph) == litert_model(graph)


def test_every_bound_that_is_no_activation_is_refused() -> None:
    params = {"multiplier": np.array([300, 300], np.int32)}
    graph = one_node("q.add", [(3,), (3,)], params, shift=10, lo=-100, hi=90)
    with pytest.raises(Unsupported, match="n: no activation with these bounds"):
        litert_model(graph)
