"""Every emitter lists all problems, writes nothing it can't finish; exact ones compute the same bytes."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import smidgen.emit
from smidgen.emit.emitter import Artifact, Emitter
from smidgen.emit.onnx_twin import TwinOnnxEmitter
from smidgen.errors import Unsupported
from smidgen.graph import Graph
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.host import find_compiler
from tests.conftest import require
from tests.integer_networks import integer_network, random_integers
from tests.networks import kitchen_sink, noise_like, small_cnn

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


def subject(cls: type[Emitter], network: str) -> Graph:
    """A network of the kind that an emitter takes."""
    reals = {"sink": kitchen_sink, "sparse": small_cnn, "int4": small_cnn}
    return reals[network]() if cls.takes_floats else integer_network(network)


def inputs_of(graph: Graph, n: int) -> np.ndarray:
    return random_integers(graph, n) if graph.is_integer else noise_like(graph, n).train.x


def likely_inputs(graph: Graph, n: int) -> np.ndarray:
    """Like those that the network was calibrated on: real numbers do not saturate where integers do."""
    x = noise_like(graph, n).train.x
    value = graph.values[graph.inputs[0]]
    return value.grid.quantize(x).astype(value.dtype) if graph.is_integer else x


def computed(cls: type[Emitter], artifact: Artifact, graph: Graph, x: np.ndarray) -> np.ndarray:
    """Its outputs on the graph's grids; the twin of an integer network has real numbers at its ports."""
    if cls is not TwinOnnxEmitter:
        return artifact.run(x)
    into, out = (graph.values[name].grid for name in (graph.inputs[0], graph.outputs[0]))
    return out.quantize(artifact.run(into.dequantize(x))).astype(graph.values[graph.outputs[0]].dtype)


EACH = pytest.mark.parametrize("cls", discovered())
EXACT = pytest.mark.parametrize("cls", [cls for cls in discovered() if cls.exact])
INEXACT = pytest.mark.parametrize("cls", [cls for cls in discovered() if not cls.exact])
NETWORK = pytest.mark.parametrize("network", ["sink", "sparse"])


def test_every_emitter_is_known_and_says_whether_it_is_exact() -> None:
    assert {cls.__name__: cls.exact for cls in discovered()} == {
        "CEmitter": True,
        "FloatOnnxEmitter": False,
        "OnnxEmitter": True,
        "QdqOnnxEmitter": False,
        "SmgEmitter": True,
        "TwinOnnxEmitter": False,
    }


@EXACT
@NETWORK
def test_the_artifact_computes_the_references_bytes(cls: type[Emitter], network: str, tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph = subject(cls, network)
    assert cls().check(graph, HOST) == []
    artifact = cls().emit(graph, HOST, tmp_path / "out")
    x = inputs_of(graph, 20)
    assert np.array_equal(artifact.run(x), run_integer(graph, x))


@INEXACT
@NETWORK
def test_an_inexact_artifact_is_close_to_the_reference(
    cls: type[Emitter], network: str, tmp_path: Path
) -> None:
    graph = subject(cls, network)
    assert cls().check(graph, HOST) == []
    x = likely_inputs(graph, 100)
    made = computed(cls, cls().emit(graph, HOST, tmp_path / "out"), graph, x)
    expected = (run_integer if graph.is_integer else run_float)(graph, x)
    assert made.dtype == expected.dtype
    reach = expected.max().astype(np.float64) - expected.min()
    off = np.mean if cls is TwinOnnxEmitter else np.max  # a twin lacks the rounding of every layer
    assert off(np.abs(made.astype(np.float64) - expected)) <= (0.05 if graph.is_integer else 1e-4) * reach


@EACH
def test_the_other_kind_of_network_is_refused_or_computed_as_it_is(cls: type[Emitter]) -> None:
    """Only the file format takes both; all others say why not, and offer a way."""
    other = integer_network("int4") if cls.takes_floats else small_cnn()
    problems = cls().check(other, HOST)
    assert all(problem.reason and problem.remedy for problem in problems)
    assert bool(problems) or cls.__name__ == "SmgEmitter"


@EACH
def test_size_is_the_length_of_the_files(cls: type[Emitter], tmp_path: Path) -> None:
    artifact = cls().emit(subject(cls, "int4"), HOST, tmp_path / "out")
    assert artifact.nbytes == sum(len(path.read_bytes()) for path in artifact.files) > 0


@EACH
def test_emitting_twice_gives_the_same_bytes(cls: type[Emitter], tmp_path: Path) -> None:
    first, second = (cls().emit(subject(cls, "int4"), HOST, tmp_path / name).files for name in "ab")
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
