"""Shared by the benchmark scripts: progress, and results as JSON beside a Markdown table."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import track

T = TypeVar("T")
RESULTS = Path(__file__).parent / "results"


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """The items, with a progress bar and time left on the terminal."""
    listed = list(items)
    return track(listed, description=what, disable=not sys.stderr.isatty())


def cpu_name() -> str:
    """The processor's own name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_results(name: str, title: str, rows: Sequence[dict[str, Any]], how: str, **extra: Any) -> None:
    """`results/<name>.json` and `.md`, whole or not at all. `how` says how the numbers were obtained."""
    data = {"title": title, "how": how, "cpu": cpu_name(), "rows": list(rows), **extra}
    write_text(RESULTS / f"{name}.json", json.dumps(data, indent=1) + "\n")
    columns = list(rows[0])
    lines = [f"# {title}", "", how, "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += ["| " + " | ".join(_cell(row.get(column, "")) for column in columns) + " |" for row in rows]
    lines += ["", f"Machine: {data['cpu']}. Script: `benchmarks/{name}.py`.", ""]
    write_text(RESULTS / f"{name}.md", "\n".join(lines))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as unfinished:
        unfinished.write(text)
    Path(unfinished.name).chmod(0o644)
    os.replace(unfinished.name, path)


def _cell(value: Any) -> str:
    return (
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )
