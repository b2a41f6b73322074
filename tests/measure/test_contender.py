"""Artifacts of every kind become calls; what is none is one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.smg import SmgEmitter
from smidgen.errors import BadFile, BadInput, MissingExtra, SmidgenError
from smidgen.graph import Graph
from smidgen.measure import baselines as rivals
from smidgen.measure.baselines import baselines
from smidgen.measure.contender import Contender, contender
from smidgen.measure.timing import FEWEST, interleaved_for
from smidgen.run.isa import chosen_isa
from smidgen.targets import load_target
from smidgen.targets.host import find_compiler
from tests.conftest import require
from tests.integer_networks import integer_network
from tests.networks import small_cnn
from tests.recurrent import integers_of_recurrent, recurrent_network
from tests.run.test_native import lowered

HOST = load_target("generic-c")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return lowered(small_cnn())


def test_a_file_runs_natively(graph: Graph, tmp_path: Path) -> None:
    (path,) = SmgEmitter().emit(graph, HOST, tmp_path).files
    made = contender(path, 3)
    assert made.runtime.startswith("smidgen ")
    assert made.plan is not None
    assert made.call().shape == (3, 10)  # type: ignore[attr-defined]


def test_a_file_of_real_numbers_says_that_it_runs_in_pieces(tmp_path: Path) -> None:
    (path,) = SmgEmitter().emit(small_cnn(), HOST, tmp_path).files
    made = contender(path, 2)
    assert (made.runtime, made.plan) == (f"smidgen {chosen_isa()}, in pieces", None)
    assert made.call().shape == (2, 10)  # type: ignore[attr-defined]


@pytest.mark.parametrize("emitter", [OnnxEmitter(), FloatOnnxEmitter()])
def test_an_onnx_file_runs_in_onnx_runtime(emitter, graph: Graph, tmp_path: Path) -> None:
    (path,) = emitter.emit(small_cnn() if emitter.takes_floats else graph, HOST, tmp_path).files
    made = contender(path, 2)
    assert made.runtime.startswith("ONNX Runtime ")
    assert made.call()[0].shape == (2, 10)  # type: ignore[index]


def test_a_c_project_is_compiled_and_called(graph: Graph, tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    CEmitter().emit(graph, HOST, tmp_path / "project")
    made = contender(tmp_path / "project", 2)
    assert (made.name, made.runtime) == ("project", "C")
    made.call()


@pytest.mark.parametrize("name", ["nothing.txt", "folder"])
def test_what_is_no_artifact_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match=r"it is no artifact, but a \.smg file"):
        contender(tmp_path / name, 1)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(BadFile, match="ONNX Runtime can't load it"):
        contender(tmp_path / "bad.onnx", 1)


def opened(real: Graph | None, whole: Graph | None, folder: Path) -> dict[str, Contender | SmidgenError]:
    return dict(baselines(real, whole, 2, folder))


def test_the_same_network_runs_in_other_runtimes(graph: Graph, tmp_path: Path) -> None:
    found = opened(None, graph, tmp_path)
    assert list(found) == ["ORT fp32", "ORT int8", "LiteRT int8"]
    assert {name: one.name for name, one in found.items() if isinstance(one, Contender)} == {
        name: name for name in found
    }


def test_plans_and_runtimes_get_the_threads_asked_for(graph: Graph, tmp_path: Path) -> None:
    (path,) = SmgEmitter().emit(graph, HOST, tmp_path).files
    made = contender(path, 4, threads=3)
    assert made.plan is not None
    assert made.plan.threads == 3
    rivals_of = dict(baselines(None, graph, 4, tmp_path, threads=2))
    assert all(isinstance(one, Contender) for one in rivals_of.values())


def test_a_float_network_is_its_own_baseline(tmp_path: Path) -> None:
    assert list(opened(small_cnn(), None, tmp_path)) == ["ORT fp32"]


def test_a_runtime_that_can_not_says_why(tmp_path: Path) -> None:
    found = opened(None, integers_of_recurrent(recurrent_network("gru_after")), tmp_path)
    assert "no int8 operator for q.scan" in str(found["LiteRT int8"])
    assert isinstance(found["ORT fp32"], Contender)


def test_a_missing_package_is_said(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(graph: Graph) -> bytes:
        raise MissingExtra("comparison with LiteRT", "ai-edge-litert", "bench")

    monkeypatch.setattr(rivals, "litert_model", missing)
    assert "pip install 'smidgen[bench]'" in str(opened(None, graph, tmp_path)["LiteRT int8"])


def test_alternatives_take_turns_for_the_time_given() -> None:
    order: list[str] = []
    shares: list[float] = []
    times = interleaved_for(
        {name: (lambda name=name: order.append(name)) for name in "ab"}, 0.5, shares.append
    )
    assert order[:8] == ["a", "a", "b", "b", "a", "a", "b", "b"]  # the first of two is not timed
    assert len(times.seconds["a"]) == len(times.seconds["b"]) == len(order) // 4 > FEWEST
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] <= 1


def test_a_slow_call_still_gets_enough_rounds() -> None:
    times = interleaved_for({"a": lambda: None}, 0.0)
    assert len(times.seconds["a"]) == FEWEST
    assert np.all(times.seconds["a"] > 0)


def test_integers_of_every_format_run(tmp_path: Path) -> None:
    (path,) = SmgEmitter().emit(integer_network("int4"), HOST, tmp_path).files
    assert contender(path, 1).plan is not None
