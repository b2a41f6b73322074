"""Arrays in an .npz file. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

import numpy as np

from smidgen.data.readers.request import Found, Request
from smidgen.errors import BadInput

_CORRUPT = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    OSError,
)


def read(request: Request) -> Found:
    """All arrays of the file, under their names. Raises BadInput."""
    request.allow()
    path, source = request.path, str(request.path)
    if not path.is_file():
        raise BadInput(source, "no such file", "", "Check the path")
    if not zipfile.is_zipfile(path):
        raise BadInput(source, "not a zip archive", "an .npz file is one", "Write it with numpy.savez")
    arrays: dict[str, Any] = {}
    name = ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
    except _CORRUPT as problem:
        if "pickle" in str(problem) or "Object arrays" in str(problem):
            raise _objects(source, name) from problem
        raise BadInput(
            source, f"array {name!r} can't be read ({problem})", "", "Write the file again"
        ) from problem
    return Found(arrays)


def _objects(source: str, name: str) -> BadInput:
    return BadInput(
        source,
        f"{name!r} is an array of Python objects",
        "only numbers are read: objects could run code",
        "Make all samples the same shape and save them as float32",
    )
