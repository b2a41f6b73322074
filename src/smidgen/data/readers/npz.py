"""Arrays in an .npz file. Nothing is ever unpickled, and sizes are known before memory is taken."""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from typing import Any

import numpy as np

from smidgen.data.readers.request import Found, Request
from smidgen.errors import BadInput, first_line
from smidgen.limits import LIMIT, decoded_bytes_limit
from smidgen.numerics import Array
from smidgen.units import format_bytes

END = ".npy"
MOST_DIRECTORY_BYTES = 1 << 20  # of the archive's list of files: the zip module reads all of it at once
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy.savez writes
_CORRUPT = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
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
    name = ""
    arrays: dict[str, Any] = {}
    try:
        _check_directory(request)
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(END)]
            _check_members(members, source)
            for info in members:
                name = info.filename.removesuffix(END)
                arrays[name] = _array(archive, info, source, name)
    except BadInput:
        raise
    except _CORRUPT as problem:
        found = f"array {name!r} can't be read ({problem})"
        raise BadInput(source, found, "", "Write the file again") from problem
    return Found(arrays)


def _check_directory(request: Request) -> None:
    """Raise BadInput for a list of files that is itself too long."""
    with request.path.open("rb") as file:
        file.seek(0, 2)
        file.seek(-min(file.tell(), 22 + 65535), 1)
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    if at < 0 or size > MOST_DIRECTORY_BYTES:
        allowed = f"{format_bytes(MOST_DIRECTORY_BYTES)} are allowed"
        raise BadInput(str(request.path), f"its list of arrays has {format_bytes(size)}", allowed)


def _check_members(members: list[zipfile.ZipInfo], source: str) -> None:
    """Raise BadInput before anything is unpacked."""
    names = [info.filename for info in members]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(source, f"two arrays are called {twice[0].removesuffix(END)!r}", "names are unique")
    for info in members:
        if info.compress_type not in PACKINGS:
            found = f"{info.filename} is packed by method {info.compress_type}"
            remedy = "Write it with numpy.savez or numpy.savez_compressed"
            raise BadInput(source, found, "0 (stored) and 8 (deflate) are read", remedy)
    declared, allowed = sum(info.file_size for info in members), decoded_bytes_limit()
    if declared > allowed:
        found, most = format_bytes(declared), format_bytes(allowed)
        raise BadInput(source, f"its arrays take {found} of memory", f"{most} are allowed", LIMIT)


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str, name: str) -> Array:
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, source, name)
        expected = math.prod(shape) * dtype.itemsize
        here = info.file_size - file.tell()
        if expected != here:
            found = f"array {name!r} of shape {list(shape)} takes {expected} bytes"
            raise BadInput(source, found, f"the file holds {here}", "Write the file again")
        flat = np.frombuffer(file.read(expected + 1), dtype)  # one more: only then is the checksum compared
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(file: Any, source: str, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, Fortran order, type). Raises BadInput."""
    version = np.lib.format.read_magic(file)
    if version not in HEADER_READERS:
        raise BadInput(source, f"array {name!r} has format {version}", "1.0 and 2.0 are read")
    try:
        shape, fortran, dtype = HEADER_READERS[version](file)
    except Exception as problem:  # the header is Python text, and its parser raises all kinds
        found = f"the header of array {name!r} can't be read ({first_line(problem)})"
        raise BadInput(source, found, "", "Write the file again") from problem
    if dtype.hasobject:
        raise BadInput(
            source,
            f"{name!r} is an array of Python objects",
            "only numbers are read: objects could run code",
            "Make all samples the same shape and save them as float32",
        )
    if dtype.names or dtype.subdtype or not dtype.itemsize or min(shape, default=0) < 0:
        raise BadInput(source, f"array {name!r} is {dtype} of shape {list(shape)}", "numbers are needed")
    return shape, fortran, dtype
