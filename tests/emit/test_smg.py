from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.smg import SmgArtifact, SmgEmitter
from smidgen.errors import Unsupported
from smidgen.graph import Graph, GraphBuilder
from smidgen.numerics import Array
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.codec.networks import assert_same, float_network, integer_network

HOST = load_target("x86-64")


def samples() -> Array:
    return np.random.default_rng(3).integers(-128, 128, (5, 8, 8, 3)).astype(np.int8)


def test_the_artifact_is_the_file_and_holds_the_graph(tmp_path: Path) -> None:
    artifact = SmgEmitter().emit(integer_network(), HOST, tmp_path / "new folder")
    assert artifact.files == (tmp_path / "new folder" / "model.smg",)
    assert artifact.nbytes == artifact.files[0].stat().st_size
    assert_same(artifact.graph, integer_network())


def test_the_reloaded_file_computes_what_the_reference_does(tmp_path: Path) -> None:
    artifact = SmgEmitter().emit(integer_network(), HOST, tmp_path)
    assert artifact.runs_natively
    assert np.array_equal(artifact.run(samples()), run_integer(integer_network(), samples()))


def test_a_network_of_real_numbers_runs_in_pieces(tmp_path: Path) -> None:
    artifact = SmgEmitter().emit(float_network(), HOST, tmp_path)
    x = np.random.default_rng(0).normal(size=(4, 12)).astype(np.float32)
    assert not artifact.runs_natively
    np.testing.assert_allclose(artifact.run(x), run_integer(float_network(), x), rtol=1e-4)


def test_everything_that_cannot_be_stored_is_listed_at_once() -> None:
    build = GraphBuilder("odd")
    h = build.op("relu", [build.input("x", (2,))], name="first", strange={1, 2})
    graph: Graph = build.graph(build.op("relu", [h], name="second"))
    graph = graph.with_values({"second": replace(graph.values["second"], dtype="complex64")})
    problems = SmgEmitter().check(graph, load_target("cortex-m4"))
    assert [problem.node for problem in problems] == ["first", "second", "cortex-m4"]


def test_an_unsupported_graph_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"do not read \.smg files"):
        SmgEmitter().emit(integer_network(), load_target("cortex-m4"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_artifact_can_be_opened_from_a_path(tmp_path: Path) -> None:
    SmgEmitter().emit(integer_network(), HOST, tmp_path)
    artifact = SmgArtifact(tmp_path / "model.smg")
    assert artifact.run(samples()).shape == (5, 10)
