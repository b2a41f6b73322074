"""Entropy-coded weights in flash: the bytes of the file, decoded layer by layer into the arena."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.streams import Coder, codings, encode_stream, read_header
from smidgen.emit import coded
from smidgen.emit.c import CEmitter
from smidgen.emit.coded import KERNELS
from smidgen.formats import Leaf
from smidgen.graph import Graph
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.share.codebook import WeightSharing
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.integer_networks import integers_of, random_integers
from tests.networks import small_cnn

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


@pytest.fixture
def only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Coder:
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
    quantization, sparsity = NETWORKS[name]
    return integers_of(small_cnn(), quantization, sparsity)


@pytest.mark.parametrize("only", KERNELS, indirect=True)
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_decoded_on_the_device_give_the_same_bytes(name: str, only: Coder, tmp_path: Path) -> None:
    graph = network(name)
    assert f"smg_{KERNELS[only]}" in {call.kernel for call in CODED.scheduled(graph, M4).program.calls}
    artifact = CODED.emit(graph, M4, tmp_path / "project")
    assert artifact.selftest() == "3 of 3 samples agree in every layer"
    x = random_integers(graph, 5)
    np.testing.assert_array_equal(artifact.run(x), run_integer(graph, x))


@pytest.mark.parametrize("only", [Coder.CONTEXT], indirect=True)
def test_flash_holds_the_streams_of_the_file(only: Coder) -> None:
    graph = network("int8")
    constants = {c.name: c.array.tobytes() for c in CODED.scheduled(graph, M4).program.constants}
    for node in graph.nodes:
        if node.op in ("q.conv", "q.linear"):
            name = node.params["weight"]
            leaf = next(leaf for leaf in graph.weights[name].leaves() if leaf.name == "symbols")
            assert constants[f"{name}.symbols.coded"] == coded.encode_stream(leaf)
