"""What a target can't do is known before any training, all at once."""

import numpy as np

from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.graph.core import Value
from smidgen.measure.feasibility import as_int8, problems_of
from smidgen.targets import load_target
from tests.networks import kitchen_sink, small_cnn


def test_a_network_that_fits_has_no_problems() -> None:
    assert problems_of(small_cnn(), load_target("cortex-m4")) == []


def test_memory_that_is_too_small_names_the_tensors_and_both_memories() -> None:
    found = problems_of(small_cnn(), load_target("cortex-m4"), {"flash_bytes": 500, "ram_bytes": 500})
    text = " ".join(map(str, found))
    assert "RAM" in text
    assert "flash" in text
    assert "live at the peak" in text


def test_a_float_network_is_judged_as_its_int8_version() -> None:
    graph = as_int8(kitchen_sink())
    assert graph.is_integer
    assert {fmt.label for name, fmt in graph.weights.items() if name.endswith(".weight")} == {"affine8"}


def test_an_island_is_reported_once_with_its_remedy() -> None:
    b = GraphBuilder("island")
    x = b.input("x", (4,))
    h = b.linear(x, np.eye(4), name="first")
    graph = b.graph(h)
    attrs = {
        "kind": "onnx",
        "source": "Erf",
        "payload": b"",
        "shapes": ((4,),),
        "reason": "no integer rule",
        "remedy": "Use tanh",
    }
    island = Node("erf", "island", ("first",), ("erf",), {}, attrs)
    whole = Graph(
        "g", (*graph.nodes, island), {**graph.values, "erf": Value((4,))}, graph.weights, ("x",), ("erf",)
    )
    found = problems_of(whole, load_target("cortex-m4"))
    assert [p.node for p in found].count("erf") == 1
    assert "Use tanh" in str(next(p for p in found if p.node == "erf"))
