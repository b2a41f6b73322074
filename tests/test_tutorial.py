"""docs/TUTORIAL.md is run as it stands: its Python in one process, its commands where they stand between."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import require

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs/TUTORIAL.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run_shell(lines: str, folder: Path) -> None:
    for line in lines.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "smidgen"
        done = subprocess.run(
            [sys.executable, "-m", "smidgen", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path, monkeypatch, capsys) -> None:
    require(find_spec("ziglang"), "ziglang")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "tutorial"}
    for kind, text in BLOCK.findall(TUTORIAL):
        if kind == "python":
            exec(compile(text, "docs/TUTORIAL.md", "exec"), names)
        else:
            run_shell(text, tmp_path)
    accuracy = float(capsys.readouterr().out.split()[-1])
    assert accuracy > 0.85
    assert (tmp_path / "firmware").is_dir()
    assert (tmp_path / "runs/digits/report.html").exists()
