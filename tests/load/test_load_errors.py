"""Bad and hostile input: one clear error each, before anything is run."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput, SmidgenError
from smidgen.load import load
from tests.load.onnx_models import floats, integers, model, op, write


def refused(path: Path, message: str, example: Any = None) -> None:
    with pytest.raises(BadInput, match=message):
        load(path, example)


def test_importing_the_loader_imports_no_framework() -> None:
    code = "import sys, smidgen.load; print(sorted({'torch', 'onnx'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "no.onnx", "no such file")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "it is a folder")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps({}))
    refused(path, r"a \.pth file.*torch\.export\.save")


def test_an_object_that_is_no_model() -> None:
    with pytest.raises(BadInput, match="an object of type dict"):
        load({})


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 9])
@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_files_of_something_else(kind: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"model.{kind}"
    path.write_bytes(content)
    refused(path, "not an ONNX model|not a .pt2 archive")


def test_a_zip_that_is_no_program(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        archive.writestr("hello", "world")
    refused(tmp_path / "model.pt2", "torch can't read it")
    assert not capfd.readouterr().err


def test_a_program_with_a_pickled_object(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        archive.writestr("a/data/constants/opaque_obj_0", pickle.dumps(print))
    refused(tmp_path / "model.pt2", "it holds a pickled object")


@pytest.mark.parametrize("opset", [7, 10, 99])
def test_an_operator_set_that_is_not_read(opset: int, tmp_path: Path) -> None:
    path = write(model([op("Relu")], opset=opset), tmp_path / "m.onnx")
    refused(path, f"operator set {opset}, but 11 to")


def test_a_model_that_breaks_the_rules_of_onnx(tmp_path: Path) -> None:
    refused(write(model([op("Relu", "nowhere")]), tmp_path / "m.onnx"), "an invalid ONNX model")


def test_open_sizes_beyond_the_batch(tmp_path: Path) -> None:
    refused(write(model([op("Relu")], None, ("n", "t", 4)), tmp_path / "m.onnx"), "open beyond the batch")


def test_an_example_that_contradicts_the_file(tmp_path: Path) -> None:
    path = write(model([op("Relu")]), tmp_path / "m.onnx")
    refused(path, r"the example has the shape \[1, 5\]", np.zeros((1, 5)))


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    path = write(
        model([op("MatMul", "x w")], {"w": np.full((4, 5), np.inf, np.float32)}), tmp_path / "m.onnx"
    )
    refused(path, "w: the weight has NaN or infinity")


def test_layers_that_do_not_fit_together(tmp_path: Path) -> None:
    path = write(model([op("MatMul", "x w")], {"w": floats(7, 5)}), tmp_path / "m.onnx")
    with pytest.raises(SmidgenError, match="needs 7 features"):
        load(path)


def test_an_unknown_operator(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Magic", ["x"], ["y"], name="spell", domain="some.vendor")
    made = model([node])
    made.opset_import.append(onnx.helper.make_opsetid("some.vendor", 1))
    refused(write(made, tmp_path / "m.onnx"), "spell: Magic can't be captured")


def test_an_output_that_mixes_samples(tmp_path: Path) -> None:
    path = write(model([op("ReduceSum", "x a", keepdims=0)], {"a": integers(0)}), tmp_path / "m.onnx")
    refused(path, "none of its dimensions is the batch")


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link.bin"])
def test_weights_outside_the_models_folder(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 80)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    refused(_with_external(folder, location), "weights must lie in the model's own folder")


def test_a_missing_weight_file(tmp_path: Path) -> None:
    refused(_with_external(tmp_path, "w.bin"), "the weight file 'w.bin' does not exist")


def test_a_weight_file_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 7)
    refused(_with_external(tmp_path, "w.bin"), r"m\.onnx: ")


def _with_external(folder: Path, location: str) -> Path:
    made = model([op("MatMul", "x w")], {"w": floats(4, 5)})
    onnx.external_data_helper.set_external_data(made.graph.initializer[0], location)
    made.graph.initializer[0].ClearField("raw_data")
    (folder / "m.onnx").write_bytes(made.SerializeToString())
    return folder / "m.onnx"


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_damaged_file_loads_or_is_refused(where: float, byte: int, tmp_path: Path) -> None:
    nodes = [op("Conv", "x w", "h", strides=[2]), op("Flatten", "h", "f"), op("Gemm", "f v")]
    made = model(nodes, {"w": floats(2, 1, 2), "v": floats(4, 2)}, ("n", 1, 4))
    content = bytearray(made.SerializeToString())
    content[int(where * len(content))] = byte
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    try:
        outcome = load(path).outputs
    except SmidgenError as problem:
        outcome = (str(problem),)
    assert all(outcome)
