"""`smidgen export`: the files it writes, and what it says about those that are not exact."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from smidgen.cli.app import app
from smidgen.codec.container import write_smg
from smidgen.errors import BadInput
from tests.integer_networks import integer_network, integers_of
from tests.networks import large_maps, small_cnn


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


def project(tmp_path: Path, *options: str) -> tuple[int, str]:
    write_smg(tmp_path / "large.smg", [integers_of(large_maps())])
    arguments = ["export", "c", str(tmp_path / "large.smg"), str(tmp_path / "c"), "--target", "cortex-m4"]
    found = CliRunner().invoke(app, [*arguments, *options])
    return found.exit_code, found.output


def test_strips_of_the_first_layers_say_what_they_bring_and_cost(tmp_path: Path) -> None:
    code, said = project(tmp_path, "--patches", "4")
    assert code == 0
    assert "first layers in strips: arena 16,384 -> " in said
    assert "% more multiplications" in said
    readme = (tmp_path / "c" / "README.md").read_text(encoding="utf-8")
    assert "First layers in strips: arena 16,384 -> " in readme


def test_a_project_in_one_piece_says_nothing_of_strips(tmp_path: Path) -> None:
    code, said = project(tmp_path)
    assert code == 0
    assert "strips" not in said


def test_weights_are_kept_as_asked(tmp_path: Path) -> None:
    write_smg(tmp_path / "int4.smg", [integer_network("int4")])
    for word, kernel in {"stored": "smg_q_conv_stored.c", "expanded": "smg_decode.c"}.items():
        arguments = ["export", "c", str(tmp_path / "int4.smg"), str(tmp_path / word), "--weights", word]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        assert (tmp_path / word / "kernels" / kernel).exists()


def test_an_unknown_way_of_keeping_weights_is_refused(tmp_path: Path) -> None:
    write_smg(tmp_path / "int4.smg", [integer_network("int4")])
    arguments = ["export", "c", str(tmp_path / "int4.smg"), str(tmp_path / "out"), "--weights", "zipped"]
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, BadInput)
    assert "stored, expanded, coded" in str(found.exception)
