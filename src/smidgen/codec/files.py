"""Files that are either whole or absent."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from smidgen.errors import BadFile, BadInput


def write_atomic(path: Path, data: bytes) -> int:
    """Write beside `path` and rename: readers see the old file or the new one. Returns the length."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as problem:
        raise BadInput(str(path), f"it can't be written ({problem.strerror})") from problem
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except OSError as problem:
        raise BadInput(str(path), f"it can't be written ({problem.strerror})") from problem
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return len(data)


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The whole file. Raises BadFile if it can't be read or is longer than `max_bytes`."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise BadFile(
                str(path), f"it has {size} bytes", f"{max_bytes} are allowed", "Raise max_decoded_bytes"
            )
        return path.read_bytes()
    except OSError as problem:
        raise BadFile(str(path), f"it can't be read ({problem.strerror})") from problem
