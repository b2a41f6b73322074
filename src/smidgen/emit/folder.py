"""Writes a folder of text files in one step, so that nobody ever sees half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from smidgen.errors import BadInput


def write_folder(folder: Path, files: Mapping[str, str], marker: str) -> None:
    """Put `files` (relative path → text) into `folder`: written beside it, then renamed into its place.

    A folder that holds the file `marker` is an older result and is replaced whole; an empty one is filled.

    Raises:
        BadInput: `folder` holds something else, or can't be written.
    """
    if folder.exists() and not (folder / marker).is_file() and (folder.is_file() or any(folder.iterdir())):
        found = "something that smidgen did not write is there"
        raise BadInput(str(folder), found, "it is not overwritten", "Name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            new = Path(scratch) / "new"
            for name, text in files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
            _exchange(folder, new, Path(scratch) / "old")
    except OSError as problem:
        raise BadInput(
            str(folder), f"it can't be written ({problem})", "", "Name another folder"
        ) from problem


def _exchange(folder: Path, new: Path, old: Path) -> None:
    """Put `new` in the place of `folder`, or leave `folder` as it was."""
    if not folder.exists():
        os.rename(new, folder)
        return
    os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(old, folder)
        raise
