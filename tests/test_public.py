"""The public names, as a user meets them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import smidgen


def test_load_can_be_called_again_and_again(tmp_path) -> None:
    # The package smidgen.load replaces the lazily found function as soon as it has been imported.
    for _ in range(2):
        with pytest.raises(smidgen.SmidgenError, match="no such file"):
            smidgen.load(tmp_path / "absent.onnx")


def test_a_second_load_takes_a_module_and_its_example() -> None:
    torch = pytest.importorskip("torch")
    for example in (np.zeros((2, 3), np.float32), torch.zeros(2, 3)):
        graph = smidgen.load(torch.nn.Linear(3, 4), example)
        assert graph.values[graph.outputs[0]].shape == (4,)


def test_importing_smidgen_imports_no_framework() -> None:
    code = "import sys, smidgen; print(sorted({'torch', 'onnx', 'numpy', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
