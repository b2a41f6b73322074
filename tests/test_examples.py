"""Every example runs, with warnings as errors, and says what it promises to show."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import require

FOLDER = Path(__file__).parents[1] / "examples"
# What the last lines must say: the claim of the example, not its numbers.
CLAIMS = {
    "compress_task": (
        "uncompressed:",
        "chosen:",
        "files: c, model.golden, model.onnx, model.smg, recipe.yaml",
    ),
    "custom_target": ("digits: nothing stands in the way", "my-board has 4,096", "B of flash"),
    "firmware": ("flash_bytes", "emulated cortex-m4:", "its output equals the exact reference: True"),
    "one_recipe": ("sparse(affine4)", "measured on the artifact's integers", "the whole file:"),
    "onnx_in": ("integer ONNX", "labels equal those of the native back end: True"),
    "run_without_torch": ("classified 1,000 images", "native back end"),
    "your_torch_model": ("bytes of flash with its code", "test accuracy of the artifact's integers"),
}
NEEDS = {
    "compress_task": ("ziglang", "elftools"),
    "custom_target": ("ziglang", "elftools"),
    "firmware": ("ziglang", "elftools", "unicorn"),
    "onnx_in": ("onnxruntime",),
    "your_torch_model": ("ziglang", "elftools"),
}


@pytest.fixture
def quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as working folder, and small budgets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMIDGEN_EXAMPLE_QUICK", "1")
    return tmp_path


def test_every_example_has_a_claim_and_there_are_at_most_eight_files() -> None:
    assert sorted(CLAIMS) == sorted(path.stem for path in FOLDER.glob("*.py"))
    assert len([path for path in FOLDER.iterdir() if path.is_file()]) <= 8


@pytest.mark.parametrize("name", sorted(set(CLAIMS) - {"run_without_torch"}))
def test_the_example_shows_what_it_claims(
    name: str, quickly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in NEEDS.get(name, ()):
        require(find_spec(package), package)
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert not [claim for claim in CLAIMS[name] if claim not in said], said


def test_an_artifact_runs_where_torch_cannot_be_imported(quickly: Path) -> None:
    """In a process of its own: it makes torch, onnx and scikit-learn impossible to import."""
    command = [sys.executable, "-W", "error", str(FOLDER / "run_without_torch.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not [claim for claim in CLAIMS["run_without_torch"] if claim not in done.stdout], done.stdout


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_examples_are_short_and_say_what_one_learns(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert 15 <= len(text.splitlines()) <= 60
