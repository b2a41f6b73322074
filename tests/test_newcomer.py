"""The diff in CONTRIBUTING.md, applied to a copy of the project, passes the project's own contract tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def added_files() -> dict[str, list[str]]:
    """Path -> added lines, from the diff in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    diff = re.search(r"```diff\n(.*?)```", text, re.DOTALL)
    assert diff is not None
    files: dict[str, list[str]] = {}
    for line in diff.group(1).splitlines():
        if line.startswith("+++ b/"):
            lines = files.setdefault(line[6:], [])
        elif line.startswith("+"):
            lines.append(line[1:])
    return files


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package, tests and docs in another place, with the diff applied."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    native = sys.modules.get("smidgen.kernels._native") or pytest.importorskip("smidgen.kernels._native")
    built = Path(str(native.__file__))
    shutil.copy(built, tmp_path / "src/smidgen/kernels" / built.name)
    for name, lines in added_files().items():
        path = tmp_path / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(old + "\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_a_new_method_is_one_file_one_test_and_one_row() -> None:
    assert sorted(added_files()) == [
        "docs/METHODS.md",
        "src/smidgen/methods/prune/random.py",
        "tests/methods/prune/test_random.py",
    ]


def test_the_documented_diff_is_found_searched_and_passes_every_contract(copy: Path) -> None:
    # -S leaves .pth files out, so that no editable installation hides the copy.
    python = [sys.executable, "-S", "-m"]
    search_path = [str(copy / "src"), str(copy), sysconfig.get_paths()["purelib"]]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(search_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    selected = ["tests/methods/prune/test_random.py", "tests/contracts/test_steps.py"]
    command = [*python, "pytest", "-p", "no:cacheprovider", "-k", "random or rows", *selected]
    done = subprocess.run(
        command, cwd=copy, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert re.search(r"(\d+) passed", done.stdout)
    listed = subprocess.run(
        [*python, "smidgen", "methods"], cwd=copy, env=env, capture_output=True, text=True, check=True
    )
    assert "prune.random" in listed.stdout
