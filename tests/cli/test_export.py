"""`smidgen export`: the files it writes, and what it says about those that are not exact."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from smidgen.cli.app import app
from smidgen.codec.container import write_smg
from tests.integer_networks import integer_network
from tests.networks import small_cnn


def export(form: str, file: Path, folder: Path) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["export", form, str(file), str(folder)])
    return found.exit_code, found.output


@pytest.fixture
def sink(tmp_path: Path) -> Path:
    write_smg(tmp_path / "model.smg", [integer_network("sink")])
    return tmp_path / "model.smg"


def flavour(folder: Path) -> str:
    props = onnx.load(folder / "model.onnx").metadata_props
    return {p.key: p.value for p in props}["flavour"]


def test_qdq_says_how_many_outputs_differ(sink: Path, tmp_path: Path) -> None:
    code, said = export("qdq", sink, tmp_path / "out")
    assert code == 0
    assert "% of the outputs differ from the exact integers (200 random inputs)" in said
    assert flavour(tmp_path / "out") == "qdq"


def test_qdq_is_written_without_onnxruntime_too(
    sink: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, said = export("qdq", sink, tmp_path / "out")
    assert code == 0
    assert "not compared with the exact integers" in said
    assert flavour(tmp_path / "out") == "qdq"


def test_exact_onnx_promises_nothing_less(sink: Path, tmp_path: Path) -> None:
    code, said = export("onnx", sink, tmp_path / "out")
    assert code == 0
    assert "differ" not in said


def test_float_takes_a_file_with_real_numbers(tmp_path: Path) -> None:
    write_smg(tmp_path / "float.smg", [small_cnn()])
    assert export("float", tmp_path / "float.smg", tmp_path / "out")[0] == 0
    assert flavour(tmp_path / "out") == "float"


def test_float_takes_a_built_in_task(tmp_path: Path) -> None:
    assert export("float", Path("digits"), tmp_path / "out")[0] == 0
    assert flavour(tmp_path / "out") == "float"


def test_float_refuses_integers(sink: Path, tmp_path: Path) -> None:
    assert export("float", sink, tmp_path / "out")[0] != 0
    assert not (tmp_path / "out").exists()
