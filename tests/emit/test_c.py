"""Emitted C against the exact reference: same bytes, clean compilation, honest self-test, safe files."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.emit.c import CArtifact, CEmitter
from smidgen.emit.c_names import KEYWORDS, identifier, plain
from smidgen.emit.c_source import array_body, constant_bytes
from smidgen.errors import BadInput, Mismatch, Unsupported
from smidgen.formats import Grid
from smidgen.graph import Graph, GraphBuilder, Node, Value
from smidgen.lower.schedule import expand_weights, schedule
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.host import find_compiler
from tests.conftest import require
from tests.integer_networks import NETWORKS, integer_network, random_integers
from tests.networks import small_cnn

HOST = load_target("generic-c")


def emit(graph: Graph, folder: Path) -> CArtifact:
    require(find_compiler(), "a C compiler")
    return CEmitter().emit(graph, HOST, folder / "project")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_c_equals_the_reference(name: str, tmp_path: Path) -> None:
    graph = integer_network(name)
    x = random_integers(graph, 50)
    assert np.array_equal(emit(graph, tmp_path).run(x), run_integer(graph, x))


@pytest.mark.parametrize("name", ["sink", "int4", "very sparse"])
def test_selftest_agrees_in_every_layer(name: str, tmp_path: Path) -> None:
    assert emit(integer_network(name), tmp_path).selftest() == "3 of 3 samples agree in every layer"


def test_ten_thousand_samples_run_in_one_process(tmp_path: Path) -> None:
    graph = integer_network("int8")
    x = random_integers(graph, 10_000)
    y = emit(graph, tmp_path).run(x)
    assert np.array_equal(y[::100], run_integer(graph, x[::100]))


def test_selftest_names_the_layer_of_a_flipped_weight_byte(tmp_path: Path) -> None:
    graph = integer_network("int8")
    artifact = emit(graph, tmp_path)
    weights = artifact.folder / "weights.c"
    text = weights.read_text()
    start = text.index("= {\n    ", text.index("const int8_t")) + len("= {\n    ")
    first = text[start : text.index(",", start)]
    weights.write_text(text[:start] + str(-int(first) - 1) + text[start + len(first) :])
    with pytest.raises(Mismatch, match=rf"sample 0, {re.escape(plain(graph.nodes[0].name))}: CRC-32 is"):
        artifact.selftest()


@pytest.mark.parametrize("name", ["sink", "int4"])
def test_selftest_catches_an_arena_that_is_one_byte_too_small(name: str, tmp_path: Path) -> None:
    artifact = emit(integer_network(name), tmp_path)
    header = artifact.folder / "model.h"
    asked = re.search(r"ARENA_BYTES (\d+)", header.read_text())
    assert asked is not None
    header.write_text(header.read_text().replace(asked[0], f"ARENA_BYTES {int(asked[1]) - 1}"))
    beyond = (
        rf"the arena of {int(asked[1]) - 1} bytes is too small, 0 bytes before and 1 behind it were written"
    )
    with pytest.raises(Mismatch, match=beyond):
        artifact.selftest()


def test_a_changed_source_is_never_answered_by_an_old_binary(tmp_path: Path) -> None:
    graph = integer_network("int8")
    artifact = emit(graph, tmp_path)
    x = random_integers(graph, 1)
    before = artifact.run(x)
    model = artifact.folder / "model.c"
    model.write_text(re.sub(r"(\.lo) = -?\d+", r"\1 = 127", model.read_text()))
    assert np.all(artifact.run(x) == 127)
    assert not np.all(before == 127)


def test_a_relative_folder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(find_compiler(), "a C compiler")
    monkeypatch.chdir(tmp_path)
    artifact = CEmitter().emit(integer_network("int8"), HOST, Path("here"))
    assert artifact.selftest() == "3 of 3 samples agree in every layer"


def test_golden_inputs_of_the_user_are_the_ones_tested(tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph = integer_network("int8")
    artifact = CEmitter((random_integers(graph, 5),)).emit(graph, HOST, tmp_path / "project")
    assert artifact.selftest() == "5 of 5 samples agree in every layer"


def test_golden_inputs_of_another_type_are_refused_before_writing(tmp_path: Path) -> None:
    graph = integer_network("int8")
    wide = random_integers(graph, 2).astype(np.int64)
    with pytest.raises(BadInput, match=r"input .*: int64 \[2, 8, 8, 1\], but int8 \[n, 8, 8, 1\]"):
        CEmitter((wide,)).emit(graph, HOST, tmp_path / "project")
    assert list(tmp_path.iterdir()) == []


def test_several_inputs_and_outputs_keep_their_order(tmp_path: Path) -> None:
    def value(shape: tuple[int, ...]) -> Value:
        return Value(shape, "int8", Grid(0.1, 0))

    nodes = (
        Node("joined", "q.concat", ("a", "b"), ("joined",), attrs={"axis": 0}),
        Node("turned", "q.transpose", ("b",), ("turned",), attrs={"perm": (1, 0)}),
    )
    values = {"a": value((2, 3)), "b": value((4, 3)), "joined": value((6, 3)), "turned": value((3, 4))}
    graph = Graph("two", nodes, values, {}, ("a", "b"), ("joined", "turned"))
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-128, 128, (7, n, 3)).astype(np.int8) for n in (2, 4))
    artifact = emit(graph, tmp_path)
    joined, turned = artifact.runner.run((a, b))
    assert np.array_equal(joined, np.concatenate([a, b], axis=1))
    assert np.array_equal(turned, b.transpose(0, 2, 1))
    assert artifact.selftest() == "3 of 3 samples agree in every layer"


def test_the_makefile_builds_and_tests_the_project(tmp_path: Path) -> None:
    require(shutil.which("make"), "make")
    folder = emit(integer_network("int4"), tmp_path).folder
    done = subprocess.run(["make", "-C", str(folder), "test", "build/runner"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 samples agree" in done.stdout
    assert done.stderr == ""


def test_the_model_uses_neither_floats_nor_the_c_library(tmp_path: Path) -> None:
    artifact = CEmitter().emit(integer_network("sink"), HOST, tmp_path / "project")
    model = ["model.c", "weights.c", "weights.h", "kernels/smidgen.h"]
    model += [str(p.relative_to(artifact.folder)) for p in artifact.folder.glob("kernels/*.c")]
    text = "\n".join((artifact.folder / name).read_text() for name in model)
    assert set(re.findall(r"#include <(.*)>", text)) == {"stddef.h", "stdint.h"}
    assert re.findall(r"\b(float|double|malloc|memcpy)\b", text) == []


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = integer_network("sparse")
    first = CEmitter().emit(graph, HOST, tmp_path / "first")
    second = CEmitter().emit(graph, HOST, tmp_path / "second")
    assert contents(first.folder) == contents(second.folder)


def test_only_the_kernels_in_use_are_copied(tmp_path: Path) -> None:
    artifact = CEmitter().emit(integer_network("int8"), HOST, tmp_path / "project")
    kernels = sorted(p.name for p in artifact.folder.glob("kernels/*.c"))
    assert kernels == ["smg_q_avg_pool.c", "smg_q_conv.c", "smg_q_linear.c", "smg_q_max_pool.c"]


def test_packed_streams_take_their_bits_and_no_more() -> None:
    def stored(name: str) -> int:
        return constant_bytes(schedule(expand_weights(integer_network(name))))

    weights = sum(
        fmt.decode().size for name, fmt in integer_network("int8").weights.items() if "weight" in name
    )
    assert stored("int8") - stored("int4") == weights // 2


# Names


@pytest.mark.parametrize(
    "name", ['x"; system("id"); //', "*/ #error", "über netz", "9", "", "int", "smg_q_conv"]
)
def test_a_hostile_name_is_harmless(name: str, tmp_path: Path) -> None:
    graph = replace(integer_network("int8"), name=name)
    assert emit(graph, tmp_path).selftest() == "3 of 3 samples agree in every layer"


@given(st.text(max_size=60))
def test_every_name_becomes_a_legal_identifier(name: str) -> None:
    word = identifier(name)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", word)
    assert word not in KEYWORDS.split()


@given(st.text(max_size=60))
def test_plain_text_can_not_end_a_comment_or_string(text: str) -> None:
    assert not set('"\\*\n\r`|?@') & set(plain(text))


def test_the_least_int32_has_no_literal_and_is_written_as_a_difference() -> None:
    assert array_body(np.array([-(2**31), 5], np.int32)) == "    (-2147483647 - 1), 5"


# Refusals


def test_every_node_that_computes_real_numbers_is_listed(tmp_path: Path) -> None:
    graph = small_cnn()
    problems = CEmitter().check(graph, HOST)
    assert {p.node for p in problems} == {node.name for node in graph.nodes}
    with pytest.raises(Unsupported, match="conv1: conv computes real numbers; batch_norm1"):
        CEmitter().emit(graph, HOST, tmp_path / "project")
    assert list(tmp_path.iterdir()) == []


def test_an_island_is_reported_with_its_own_reason_and_remedy() -> None:
    b = GraphBuilder("g")
    attrs = {"kind": "k", "source": "s", "payload": b"", "shapes": ((3,),)}
    y = b.op("island", [b.input("x", (3,))], reason="a loop", remedy="Unroll it", **attrs)
    (problem,) = CEmitter().check(b.graph(y), load_target("cortex-m4"))
    assert (problem.reason, problem.remedy) == ("it runs in float (a loop)", "Unroll it")


def test_memory_that_can_not_fit_is_refused_with_the_tensors_at_the_peak() -> None:
    graph = integer_network("int8")
    tiny = load_target("cortex-m0").model_copy(update={"ram_bytes": 1400, "flash_bytes": 1000})
    ram, flash = CEmitter().check(graph, tiny)
    assert "2,060 bytes of RAM are needed (arena 960, inputs and outputs 76, stack 1,024)" in ram.reason
    assert "cortex-m0 has 1,400; live at the peak: relu1 (768), max_pool1 (192)" in ram.reason
    assert re.fullmatch(r"the weights alone need \d,\d{3} bytes of flash, cortex-m0 has 1,000", flash.reason)


def test_a_network_that_fits_has_no_problems() -> None:
    assert CEmitter().check(integer_network("sink"), load_target("cortex-m0")) == []
