"""Scheduling: the Program's calls fit the C headers, and what has no kernel is listed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from smidgen.errors import Unsupported
from smidgen.formats import Dense, Grid, Integer
from smidgen.graph import Graph, Node, Value
from smidgen.kernels import C_SOURCES, native
from smidgen.lower import lower
from smidgen.lower.calls import merged_axes, strides_of
from smidgen.lower.decode import worth_expanding
from smidgen.lower.schedule import check_schedulable, expand_weights, schedule
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from tests.kernels.one_node import one_node, random_ratios
from tests.networks import kitchen_sink, noise_like


def lowered(bits: int = 8) -> Graph:
    graph = kitchen_sink()
    ctx = Context(noise_like(graph), graph)
    return lower(AffineQuantization(bits=bits).apply(graph, ctx))


def struct_fields() -> dict[str, list[str]]:
    """Kernel -> fields of its argument struct, read from the header."""
    header = (C_SOURCES / "smidgen.h").read_text()
    structs = re.findall(r"typedef struct \{\s*int32_t ([^;]*);\s*\} (\w+)_args;", header)
    return {name: re.split(r",\s*", fields) for fields, name in structs}


def test_arguments_follow_the_structs_of_the_header() -> None:
    fields = struct_fields()
    # Plans for this computer hold no entropy-coded weights.
    assert set(fields) - {"smg_unpack_huffman"} == set(native().kernel_names())
    expanded, stored = schedule(expand_weights(lowered(3))), schedule(lowered(3), worth_expanding)
    for program in (schedule(lowered()), expanded, stored):
        for call in program.calls:
            assert [name for name, _ in call.args] == fields[call.kernel]


def test_every_kernel_has_a_file_of_its_name() -> None:
    assert {path.stem for path in C_SOURCES.glob("smg_*.c")} >= set(native().kernel_names())


def test_pointers_stay_inside_what_they_point_to() -> None:
    program = schedule(expand_weights(lowered(4)))
    sizes = {("arena", 0): program.arena_bytes}
    sizes |= {("constant", i): c.array.nbytes for i, c in enumerate(program.constants)}
    sizes |= {("input", i): port.nbytes for i, port in enumerate(program.inputs)}
    sizes |= {("output", i): port.nbytes for i, port in enumerate(program.outputs)}
    pointers = [p for call in program.calls for p in (*call.pointers, call.output) if p]
    assert all(p.offset + p.nbytes <= sizes[p.space, p.index] for p in pointers)


def test_all_problems_are_listed_at_once() -> None:
    grid = Grid(1.0, 0)
    values = {
        "x": Value((3,), "int8", grid),
        "a": Value((3,), "int8", grid),
        "b": Value((3,), "float32"),
        "c": Value((3,), "int8", Grid(2.0, 0)),
    }
    nodes = (
        Node("soft", "q.softmax", ("x",), ("a",), {"table": "t"}),
        Node("real", "dequantize", ("a",), ("b",)),
        Node("moved", "q.reshape", ("a",), ("c",), {}, {"shape": (3,)}),
    )
    graph = Graph("bad", nodes, values, {"t": Integer(np.zeros(256, np.uint16))}, ("x",), ("b", "c", "x"))
    problems = check_schedulable(graph)
    assert [p.split(":")[0] for p in problems] == ["x", "soft", "real", "moved"]
    with pytest.raises(Unsupported, match=r"soft.*real.*moved"):
        schedule(graph)


def test_a_float_weight_is_refused() -> None:
    params = {"bias": np.zeros(2, np.int32), **random_ratios(np.random.default_rng(0), 1)}
    weight = Dense(np.zeros((2, 3), np.float32))
    graph = one_node("q.linear", [(3,)], {"weight": weight, **params}, lo=-128, hi=127)
    assert check_schedulable(graph) == ["n: the weight is dense, but integer weights are needed"]


@pytest.mark.parametrize("shift", [0, 48, 255])
def test_an_illegal_shift_is_refused(shift: int) -> None:
    params = {"multiplier": np.array([1], np.uint16), "shift": np.array([shift], np.uint8)}
    graph = one_node("q.requantize", [(3,)], params, lo=-128, hi=127)
    assert "1 to 47 are defined" in check_schedulable(graph)[0]


def test_three_dimensional_convolutions_are_refused() -> None:
    axes = {"stride": (1,) * 3, "padding": ((0, 0),) * 3, "dilation": (1,) * 3, "groups": 1}
    params = {"weight": np.zeros((1, 1, 1, 1, 1), np.int8), "bias": np.zeros(1, np.int32)}
    params |= random_ratios(np.random.default_rng(0), 1)
    graph = one_node("q.conv", [(2, 2, 2, 1)], params, **axes, lo=-128, hi=127)
    assert check_schedulable(graph) == ["n: 3 spatial axes, but kernels take one or two"]


def test_a_bias_of_one_entry_serves_all_channels() -> None:
    params = {"weight": np.zeros((4, 3), np.int8), "bias": np.array([7], np.int32)}
    graph = one_node("q.linear", [(3,)], params | random_ratios(np.random.default_rng(0), 1), lo=-128, hi=127)
    biases = [c.array.tolist() for c in schedule(graph).constants if c.name.startswith("bias")]
    assert biases == [[7] * 4]


def test_merged_axes_visit_the_same_elements_in_the_same_order() -> None:
    shape, perm = (2, 3, 4, 5), (1, 2, 3, 0)
    strides = [strides_of(shape)[axis] for axis in perm]
    dims, (merged,) = merged_axes([shape[axis] for axis in perm], strides)
    assert (dims, merged) == ([60, 2], [1, 60])


def test_expanding_leaves_the_original_graph_alone() -> None:
    graph = lowered(4)
    before = replace(graph)
    expanded = expand_weights(graph)
    assert graph == before
    assert "q.decode" in {node.op for node in expanded.nodes}
    expanded.check()
