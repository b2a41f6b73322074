"""What importing costs: frameworks come when they are needed, and rooms import only from lower ones."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smidgen
from tests.conftest import require

ROOT = Path(__file__).parents[1]
FRAMEWORKS = {"torch", "onnx", "onnxruntime", "optuna", "sklearn", "altair", "vl_convert", "lightning_fabric"}
# Frameworks are loaded once; then each room is imported in a process of its own.
EACH_FIRST = """
import importlib, os, sys
import numpy, onnx, optuna, pydantic, rich, torch, typer, lightning_fabric
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
            os._exit(0)
        except BaseException as problem:
            print(name, repr(problem), file=sys.stderr, flush=True)
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        print(name)
"""
CLI_ONLY = {"typer", "rich"}


def imported_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `code`."""
    show = "import sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert not imported_by("import smidgen") & (FRAMEWORKS | CLI_ONLY | {"numpy", "pydantic"})


def test_running_an_artifact_needs_no_framework() -> None:
    assert not imported_by("import smidgen; smidgen.open; import smidgen.run.native") & (
        FRAMEWORKS | CLI_ONLY
    )


def test_every_public_name_is_there() -> None:
    assert all(getattr(smidgen, name) is not None for name in smidgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'squeeze'"):
        _ = smidgen.squeeze


def test_every_room_can_be_entered_first() -> None:
    """No room counts on another having been imported before it: there is no import cycle."""
    modules = [f"smidgen.{m.name}" for m in pkgutil.iter_modules(smidgen.__path__) if m.name != "__main__"]
    assert len(modules) > 20
    done = subprocess.run(
        [sys.executable, "-c", EACH_FIRST, *modules], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""  # names of modules that could not be imported


def test_rooms_import_only_from_lower_rooms() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    require(program, "import-linter")
    done = subprocess.run([str(program)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
