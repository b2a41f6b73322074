"""Sizes: lengths of real files."""

from __future__ import annotations

from pathlib import Path

from smidgen.measurement import Measurement


def file_size(path: Path) -> Measurement:
    """`file_bytes`: the length of the file."""
    return Measurement("file_bytes", float(path.stat().st_size), "byte", "measured")
