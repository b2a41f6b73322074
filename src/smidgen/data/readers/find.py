"""Which reader a path is for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from smidgen.data.readers.class_folders import first_file
from smidgen.data.readers.request import Found, Request
from smidgen.errors import BadInput

Reader = Callable[[Request], Found]
KINDS = "an .npz or .parquet file, a folder of them or of class folders, or package.module:function"


def find_reader(path: Path) -> Reader:
    """The `read` of the module of this folder that is for `path`. Raises BadInput."""
    name = _kind(path)
    reader: Reader = importlib.import_module(f"smidgen.data.readers.{name}").read
    return reader


def _kind(path: Path) -> str:
    from smidgen.data.readers import audio_folder, image_folder

    if path.suffix in (".npz", ".parquet"):
        if not path.exists():
            raise BadInput(str(path), "no such file", "", "Check the path")
        return path.suffix[1:]
    if path.is_file():
        raise BadInput(str(path), "not a kind of data that is known", f"{KINDS} is needed")
    if not path.is_dir():
        raise BadInput(str(path), "no such file or folder", f"{KINDS} is needed")
    if any(path.glob("*.parquet")) or any(path.glob("data/*.parquet")):
        return "parquet"
    found = first_file(path, (*image_folder.SUFFIXES, *audio_folder.SUFFIXES))
    if found is None:
        raise BadInput(
            str(path), "a folder without images, recordings or .parquet files", f"{KINDS} is needed"
        )
    return "image_folder" if found.suffix.lower() in image_folder.SUFFIXES else "audio_folder"
