"""The host runner: inputs are checked, failures are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.emit.c import CEmitter
from smidgen.errors import BadFile, BadInput, SmidgenError
from smidgen.targets import load_target
from smidgen.targets.host import HostRunner, find_compiler
from smidgen.targets.project import Tensor, pack_samples, unpack_samples
from tests.conftest import require
from tests.integer_networks import integer_network


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host") / "project"
    return CEmitter().emit(integer_network("int8"), load_target("generic-c"), folder).folder


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 8, 8), np.int8),
        np.zeros((1, 8, 8, 1), np.float32),
        np.zeros((1, 8, 8, 1), np.uint8),
        np.zeros((0, 8, 8, 1), np.int8),
    ],
)
def test_an_input_that_does_not_fit_is_one_clear_error(x: np.ndarray, project: Path) -> None:
    with pytest.raises(BadInput, match=r"int8 \[n, 8, 8, 1\] with n > 0 is needed"):
        HostRunner(project).run(x)


def test_too_many_inputs_are_refused(project: Path) -> None:
    x = np.zeros((1, 8, 8, 1), np.int8)
    with pytest.raises(BadInput, match="2 arrays, but the model takes 1"):
        HostRunner(project).run([x, x])


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"no manifest.json"):
        HostRunner(tmp_path).selftest()


@pytest.mark.parametrize("text", ["", "{}", '{"prefix": "x", "sources": ["/etc/passwd"]}'])
def test_a_damaged_manifest_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BadFile, match="not a manifest"):
        HostRunner(tmp_path).selftest()


def test_a_missing_compiler_says_what_to_install(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(BadInput, match=r"no C compiler was found\. Install gcc or clang"):
        HostRunner(project).selftest()


def test_source_that_does_not_compile_is_reported_with_the_compilers_words(tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph = integer_network("int8")
    artifact = CEmitter().emit(graph, load_target("generic-c"), tmp_path / "project")
    (artifact.folder / "weights.c").write_text("int broken")
    with pytest.raises(SmidgenError, match=r"says weights\.c:1:.*error"):
        artifact.selftest()
    assert list((artifact.folder / "build").iterdir()) == []


@given(st.integers(1, 5), st.integers(0, 99))
def test_samples_of_mixed_types_survive_packing(n: int, seed: int) -> None:
    tensors = [
        Tensor(name="a", shape=(2, 3), dtype="int8", scale=1.0, zero=0),
        Tensor(name="b", shape=(4,), dtype="int16", scale=1.0, zero=0),
    ]
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(-100, 100, (n, *t.shape)).astype(t.dtype) for t in tensors]
    raw = pack_samples(tensors, arrays)
    assert raw[:6] == arrays[0][0].tobytes()
    assert raw[6:14] == arrays[1][0].tobytes()
    back = unpack_samples(tensors, raw, n)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, back, strict=True))
