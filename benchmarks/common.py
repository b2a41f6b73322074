"""Shared by the benchmark scripts: progress, and results as JSON beside a Markdown table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import track

from smidgen.files import write_whole
from smidgen.run.cpu import cpu_name
from smidgen.tasks.task import Task

T = TypeVar("T")
RESULTS = Path(__file__).parent / "results"
DENSE = RESULTS / "dense"


def progress(items: Iterable[T], what: str) -> Iterable[T]:
    """The items, with a progress bar and time left on the terminal."""
    listed = list(items)
    return track(listed, description=what, disable=not sys.stderr.isatty())


def write_results(name: str, title: str, rows: Sequence[dict[str, Any]], how: str, **extra: Any) -> None:
    """`results/<name>.json` and `.md`, whole or not at all. `how` says how the numbers were obtained."""
    data = {"title": title, "how": how, "cpu": cpu_name(), "rows": list(rows), **extra}
    write_whole(RESULTS / f"{name}.json", json.dumps(data, indent=1) + "\n")
    lines = [f"# {title}", "", how, "", *table(rows)]
    lines += ["", f"Machine: {data['cpu']}. Script: `benchmarks/{name}.py`.", ""]
    write_whole(RESULTS / f"{name}.md", "\n".join(lines))


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of a Markdown table; a column for every key, empty where a row has none."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *("| " + " | ".join(_cell(row.get(c, "")) for c in columns) + " |" for row in rows)]


def dense_runs(task: str, like: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The networks of the dense width curve of `task`, written by `benchmarks/dense_curves.py`; perhaps none.

    Each has width, seed, parameters, macs, file_bytes, training_cpu_seconds, and accuracies in percent:
    validation and test of the int8 file, float_validation and float_test. With `like`, only runs whose
    file says the same (model, training, features).
    """
    path = dense_file(task)
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": []}
    same = all(found.get(key) == value for key, value in (like or {}).items())
    return list(found["runs"]) if same else []


def identity_of(task: Task) -> dict[str, Any]:
    """What stored networks must share with new ones."""
    return {"model": task.model().name, "training": vars(task.training), "features": task.features}


def dense_file(task: str) -> Path:
    """Where the dense width curve of a task or `<task>:<variant>` is kept."""
    return DENSE / f"{task.replace(':', '-')}.json"


def _cell(value: Any) -> str:
    return (
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )
