"""Files and folders that are whole or absent, and reading no more than was asked for.

What is written first gets a name that starts with `TEMPORARY` beside its place and then takes that place by a
rename. A process that is killed leaves such a name behind and nothing else.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from smidgen.errors import BadFile, Unwritable
from smidgen.limits import LIMIT, decoded_bytes_limit
from smidgen.units import format_bytes

TEMPORARY = ".tmp-"
_FULL = "Free some space or choose another place; what was there before is intact"
_FORBIDDEN = "Choose another place, or change its permissions"
_IN_THE_WAY = "A file is in the way: choose another place"
_REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
    errno.EISDIR: "A folder has this name: choose another",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENAMETOOLONG: "Choose a shorter name",
}
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, content: str | bytes) -> int:
    """Write a file so that a reader sees the old one or the new one, durably; its folder is made.

    Returns the length in bytes. Raises Unwritable: the disk is full, no permission, a folder has the name.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with writing(path), appearing(path) as unfinished, unfinished.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # a full disk may show only here
    return len(data)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Make `folder` hold exactly `files` (relative path → text), in one step. Raises Unwritable."""
    with writing(folder), appearing(folder) as unfinished:
        for name, text in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def appearing(final: Path) -> Iterator[Path]:
    """A free name beside `final`: the file or folder that the block makes there takes the place of `final`.

    If the block fails, or makes nothing, `final` stays as it was and nothing else is left. Raises OSError.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _free_name(final)
    try:
        yield unfinished
        if unfinished.is_dir():
            _exchange(final, unfinished)
        elif unfinished.exists():
            os.replace(unfinished, final)
    finally:
        remove(unfinished)


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """What the system refuses inside the block becomes one clear error. Raises Unwritable."""
    try:
        yield
    except OSError as problem:
        raise unwritable(where, problem) from problem


def unwritable(where: Path, problem: OSError) -> Unwritable:
    """The error for a place that can't be written, with the remedy for its reason."""
    reason = problem.strerror or str(problem)
    remedy = _REMEDIES.get(problem.errno or 0, "Choose another place")
    return Unwritable(str(where), f"it can't be written ({reason})", "", remedy)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def read_bytes(path: Path, max_bytes: int | None = None) -> bytes:
    """The whole file, of at most `max_bytes` (None: the user's limit).

    Raises BadFile if it is longer, can't be read, or is no regular file (a pipe may never end).
    """
    allowed = decoded_bytes_limit(max_bytes)
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadFile(str(path), "it is not a regular file")
            if found.st_size > allowed:
                size = format_bytes(found.st_size)
                raise BadFile(str(path), f"it has {size}", f"{format_bytes(allowed)} are allowed", LIMIT)
            return file.read(found.st_size)
    except (OSError, ValueError) as problem:  # ValueError: a null byte in the name
        reason = getattr(problem, "strerror", None) or str(problem)
        raise BadFile(str(path), f"it can't be read ({reason})") from problem


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe must not wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _free_name(final: Path) -> Path:
    return final.parent / f"{TEMPORARY}{secrets.token_hex(8)}"


def _exchange(folder: Path, new: Path) -> None:
    """Put `new` in the place of `folder`, or leave `folder` as it was."""
    if not folder.exists():
        os.rename(new, folder)
        return
    old = _free_name(folder)
    os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(old, folder)
        raise
    remove(old)
