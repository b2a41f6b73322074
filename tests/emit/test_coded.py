"""Entropy-coded weights in flash: the bytes of the file, decoded layer by layer into the arena."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.streams import Coder, codings, encode_stream, read_header
from smidgen.emit import coded
from smidgen.emit.c import CEmitter
from smidgen.emit.coded import KERNELS, coded_weights
from smidgen.formats import Binary, Leaf, Ternary
from smidgen.graph import Graph
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.share.codebook import WeightSharing
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.conftest import require
from tests.integer_networks import integers_of, random_integers
from tests.networks import peaked, small_cnn
from tests.recurrent import integers_of_recurrent, recurrent_network

M4 = load_target("cortex-m4")
CODED = CEmitter(weights="coded")
NETWORKS = {
    "int8": (AffineQuantization(), 0.0),
    "asymmetric": (AffineQuantization(bits=5, symmetric=False), 0.0),
    "groups": (AffineQuantization(bits=3, granularity="group", group_size=9), 0.0),
    "mask": (AffineQuantization(bits=6, symmetric=False), 0.5),
    "gaps": (AffineQuantization(bits=4), 0.9),
    "codebook": (WeightSharing(4, 4), 0.0),
    "sparse codebook": (WeightSharing(4, 4), 0.8),
}
SIGNED: Mapping[str, type[Binary | Ternary]] = {"binary": Binary, "ternary": Ternary}


@pytest.fixture
def only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Coder]:
    """Every leaf is coded by the parameter's coder, whatever that brings."""

    def chosen(leaf: Leaf) -> bytes:
        found = [data for data in codings(leaf) if read_header(data).coder is request.param]
        return found[0] if found else encode_stream(leaf)

    monkeypatch.setattr(coded, "encode_stream", chosen)
    monkeypatch.setattr(coded, "DECODER_BYTES", dict.fromkeys(KERNELS, -(10**9)))
    monkeypatch.setattr(coded, "_saves", lambda data, leaf: True)
    coded.coded_leaves.cache_clear()
    yield request.param
    coded.coded_leaves.cache_clear()


def network(name: str) -> Graph:
    if name in SIGNED:
        graph = small_cnn()
        weights = {
            node.params["weight"]: graph.weights[node.params["weight"]].map_dense(SIGNED[name].fit)
            for node in graph.nodes
            if node.op in ("conv", "linear")
        }
        return integers_of(graph.with_weights(weights))
    quantization, sparsity = NETWORKS[name]
    return integers_of(small_cnn(), quantization, sparsity)


EACH = [("int8", coder) for coder in KERNELS] + [
    ("asymmetric", Coder.CONTEXT),
    ("groups", Coder.HUFFMAN),
    ("mask", Coder.RANS),
    ("gaps", Coder.CONTEXT),
    ("codebook", Coder.HUFFMAN),
    ("sparse codebook", Coder.RANS),
    ("ternary", Coder.RANS),
    ("ternary", Coder.CONTEXT),
    ("binary", Coder.CONTEXT),
]


@pytest.mark.parametrize(("name", "only"), EACH, indirect=["only"])
def test_weights_decoded_on_the_device_give_the_same_bytes(name: str, only: Coder, tmp_path: Path) -> None:
    graph = network(name)
    assert f"smg_{KERNELS[only]}" in {call.kernel for call in CODED.scheduled(graph, M4).program.calls}
    artifact = CODED.emit(graph, M4, tmp_path / "project")
    assert artifact.selftest() == "3 of 3 samples agree in every layer"
    x = random_integers(graph, 5)
    np.testing.assert_array_equal(artifact.run(x), run_integer(graph, x))


@pytest.mark.parametrize("only", KERNELS, indirect=True)
@pytest.mark.parametrize("layout", ["single-header", "arduino"])
def test_the_decoders_fit_into_every_layout(layout: str, only: Coder, tmp_path: Path) -> None:
    require(shutil.which("cc"), "a C compiler")
    graph = network("sparse codebook")
    artifact = CEmitter(layout=layout, weights="coded").emit(graph, M4, tmp_path / "out")
    if layout == "single-header":
        assert artifact.selftest() == "3 of 3 samples agree in every layer"
    else:
        sources = [str(path) for path in sorted(artifact.folder.glob("src/**/*.c"))]
        subprocess.run(
            ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", *sources], cwd=tmp_path, check=True
        )


@pytest.mark.parametrize("name", [*NETWORKS, *SIGNED])
def test_a_single_header_multiplies_stored_weights(name: str, tmp_path: Path) -> None:
    artifact = CEmitter(layout="single-header", weights="stored").emit(network(name), M4, tmp_path / "out")
    assert artifact.selftest() == "3 of 3 samples agree in every layer"


@pytest.mark.parametrize("only", [Coder.CONTEXT], indirect=True)
def test_flash_holds_the_streams_of_the_file(only: Coder) -> None:
    graph = network("int8")
    constants = {c.name: c.array.tobytes() for c in CODED.scheduled(graph, M4).program.constants}
    for node in graph.nodes:
        if node.op in ("q.conv", "q.linear"):
            name = node.params["weight"]
            leaf = next(leaf for leaf in graph.weights[name].leaves() if leaf.name == "symbols")
            assert constants[f"{name}.symbols.coded"] == coded.encode_stream(leaf)


@pytest.mark.parametrize("only", KERNELS, indirect=True)
def test_the_decoders_get_the_memory_that_they_have_in_c(only: Coder, tmp_path: Path) -> None:
    require(shutil.which("cc"), "a C compiler")
    emitted = CODED.emit(network("int8"), M4, tmp_path / "project").folder
    name = KERNELS[only].removeprefix("unpack_")
    code = f'#include <stdio.h>\n#include "kernels/smg_{name}.h"\n'
    code += f'int main(void) {{ printf("%d", (int)sizeof(smg_{name}_workspace)); return 0; }}\n'
    (tmp_path / "size.c").write_text(code)
    command = ["cc", f"-I{emitted}", str(tmp_path / "size.c"), "-o", str(tmp_path / "size")]
    subprocess.run(command, check=True)
    found = int(subprocess.run([tmp_path / "size"], capture_output=True, text=True, check=True).stdout)
    calls = CODED.scheduled(network("int8"), M4).program.calls
    assert {dict(c.args)["work_bytes"] for c in calls if c.kernel == f"smg_{KERNELS[only]}"} == {found}


def test_streams_that_save_less_than_their_decoder_takes_stay_packed() -> None:
    assert coded_weights(network("codebook")) == {}


def test_weights_in_the_body_of_a_recurrence_are_multiplied_as_they_are_stored(tmp_path: Path) -> None:
    graph = integers_of_recurrent(recurrent_network("gru_after"), bits=4)
    program = CEmitter().scheduled(graph, M4).program
    assert not any(constant.name.endswith(".int8") for constant in program.constants)
    assert [c.kernel for c in program.calls if c.turns > 1].count("smg_q_linear_stored") == 6
    assert CEmitter().emit(graph, M4, tmp_path / "c").selftest() == "3 of 3 samples agree in every layer"


def test_weights_that_do_not_fit_flash_otherwise_are_coded() -> None:
    graph = integers_of(peaked())
    stored = sum(c.array.nbytes for c in CEmitter().scheduled(graph, M4).program.constants)
    small = M4.model_copy(update={"flash_bytes": stored - 1})
    assert CEmitter().check(graph, small) == []
    assert any(
        call.kernel.startswith("smg_unpack_") for call in CEmitter().scheduled(graph, small).program.calls
    )


def test_weights_are_kept_where_asked_however_little_flash_there_is() -> None:
    graph, tiny = network("int8"), M4.model_copy(update={"flash_bytes": 100})
    assert CEmitter(weights="stored").scheduled(graph, tiny).graph is graph
