"""Names that are not taken yet."""

from __future__ import annotations


def unused(taken: set[str], stem: str) -> str:
    """`stem`, or `stem.2`, `stem.3`, …: the first that is not in `taken`, where it is entered."""
    name, copy = stem, 2
    while name in taken:
        name, copy = f"{stem}.{copy}", copy + 1
    taken.add(name)
    return name
