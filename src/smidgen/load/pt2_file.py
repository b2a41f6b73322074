"""Reads `.pt2` files, the archives of torch.export.save, without unpickling objects."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import ExportedProgram

from smidgen.errors import BadInput

_OBJECTS = ("custom_obj_", "opaque_obj_")  # archive entries that torch would unpickle as arbitrary objects
_SWITCH = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def read_program(path: Path) -> ExportedProgram:
    """The exported program in a file.

    Tensors are read with torch's weights-only unpickler, and archives with other objects are refused. torch
    still evaluates the symbolic sizes that a file holds, so take files from people you trust.

    Raises:
        BadInput: not such an archive, one with objects, or one of another version of torch.
    """
    if not zipfile.is_zipfile(path):
        raise BadInput(str(path), "not a .pt2 archive", "it is written by torch.export.save")
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()]
    if objects := [name for name in names if name.startswith(_OBJECTS)]:
        raise BadInput(str(path), f"it holds a pickled object ({objects[0]})", "only tensors are read")
    with _weights_only():
        try:
            return torch.export.load(path)
        except Exception as problem:
            raise BadInput(
                str(path),
                f"torch can't read it ({type(problem).__name__})",
                "it is written by torch.export.save",
                "Export the model again with the installed version of torch",
            ) from problem


@contextmanager
def _weights_only() -> Iterator[None]:
    """Make torch.load refuse everything but tensors, also where its callers ask for more."""
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
