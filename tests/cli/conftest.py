"""Running the command line: in this process where it is quick to fail, as a process where that matters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from smidgen.cli import main
from tests.cli import tiny

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@dataclass(frozen=True)
class Ran:
    """Exit code, what was printed, and what was complained about."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Call `smidgen` in this process, in a folder of its own. A traceback fails the test by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["smidgen", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return Ran(int(leaving.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """A user's model and data."""
    return tiny.make(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="session")
def run_folder(user: tiny.Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run: `smidgen compress tiny.onnx --data tiny.npz`."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    done = wait(start(compress_arguments(user, folder, "--trials", "2")))
    assert done.code == 0, done.err
    return folder


def compress_arguments(user: tiny.Tiny, folder: Path, *more: str) -> list[str]:
    files = [str(user.onnx), "--data", str(user.npz), "--out", str(folder)]
    return ["compress", *files, "--seeds", "1", "--max-drop", "5", *more]


def start(arguments: Sequence[str], code: str = "") -> subprocess.Popen[str]:
    """A `smidgen` process of its own (or one that runs `code`)."""
    program = [sys.executable, "-c", code] if code else [sys.executable, "-m", "smidgen"]
    return subprocess.Popen(
        [*program, *arguments],
        env=ENVIRONMENT,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in out + err
    return Ran(process.returncode, out, err)
