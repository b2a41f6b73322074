"""docs/METHODS.md as data."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
COLUMNS = ("name", "file", "test", "source", "what it does", "result", "verdict")


def rows() -> list[dict[str, str]]:
    """The table of docs/METHODS.md, code marks stripped."""
    lines = (ROOT / "docs/METHODS.md").read_text(encoding="utf-8").splitlines()
    table = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    assert tuple(table[0]) == COLUMNS
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in table[2:]]
