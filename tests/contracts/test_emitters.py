"""Every emitter says all problems at once, writes nothing it can't finish, and its artifact is exact."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import smidgen.emit
from smidgen.emit.emitter import Emitter
from smidgen.errors import Unsupported
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.host import find_compiler
from tests.conftest import require
from tests.integer_networks import integer_network, random_integers
from tests.networks import small_cnn

HOST = load_target("generic-c")


def discovered() -> list[type[Emitter]]:
    """Every Emitter class of the folder."""
    modules = [
        importlib.import_module(f"smidgen.emit.{m.name}") for m in pkgutil.iter_modules(smidgen.emit.__path__)
    ]
    found = {
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Emitter) and item is not Emitter
    }
    return sorted(found, key=lambda cls: cls.__name__)


EACH = pytest.mark.parametrize("cls", discovered())


def test_there_are_three_emitters() -> None:
    assert [cls.__name__ for cls in discovered()] == ["CEmitter", "OnnxEmitter", "SmgEmitter"]


@EACH
@pytest.mark.parametrize("network", ["sink", "sparse"])
def test_the_artifact_computes_the_references_bytes(cls: type[Emitter], network: str, tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph = integer_network(network)
    assert cls().check(graph, HOST) == []
    artifact = cls().emit(graph, HOST, tmp_path / "out")
    x = random_integers(graph, 20)
    assert np.array_equal(artifact.run(x), run_integer(graph, x))


@EACH
def test_size_is_the_length_of_the_files(cls: type[Emitter], tmp_path: Path) -> None:
    artifact = cls().emit(integer_network("int4"), HOST, tmp_path / "out")
    assert artifact.nbytes == sum(len(path.read_bytes()) for path in artifact.files) > 0


@EACH
def test_emitting_twice_gives_the_same_bytes(cls: type[Emitter], tmp_path: Path) -> None:
    first, second = (cls().emit(integer_network("int4"), HOST, tmp_path / name).files for name in "ab")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@EACH
def test_all_problems_are_listed_and_nothing_is_written(cls: type[Emitter], tmp_path: Path) -> None:
    graph, device = small_cnn(), load_target("cortex-m0")
    problems = cls().check(graph, device)
    assert problems
    assert all(problem.reason and problem.remedy for problem in problems)
    with pytest.raises(Unsupported) as refused:
        cls().emit(graph, device, tmp_path / "out")
    assert all(problem.reason in str(refused.value) for problem in problems)
    assert not (tmp_path / "out").exists()
