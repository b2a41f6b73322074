"""Writes a folder of text files in one step and overwrites nothing of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smidgen.errors import BadInput
from smidgen.files import write_files, writing


def write_folder(folder: Path, files: Mapping[str, str], marker: str) -> None:
    """Put `files` (relative path → text) into `folder`: written beside it, then renamed into its place.

    A folder that holds the file `marker` is an older result and is replaced whole; an empty one is filled.

    Raises:
        BadInput: `folder` holds something else.
        Unwritable: the disk is full, permission is missing, or a file is in the way.
    """
    with writing(folder):
        if folder.exists() and not (folder / marker).is_file() and not _is_empty(folder):
            found = "something that smidgen did not write is there"
            raise BadInput(str(folder), found, "it is not overwritten", "Name another folder")
    write_files(folder, files)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
