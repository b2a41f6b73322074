"""Where the files of public data sets are: `SMIDGEN_DATA` first, then a checked download into the cache."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from smidgen.errors import BadFile, BadInput
from smidgen.files import appearing

DOWNLOAD_TIMEOUT_S = 30
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file with its home and the SHA-256 of its contents (hex)."""

    name: str
    url: str
    sha256: str


def data_folder() -> Path | None:
    """The folder named by the environment variable SMIDGEN_DATA. Raises BadInput if it is not a folder."""
    named = os.environ.get("SMIDGEN_DATA", "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise BadInput(
            "SMIDGEN_DATA", f"{named} is not a folder", "", "Point it at the folder with the data files"
        )
    return folder


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/smidgen`, by default `~/.cache/smidgen`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "smidgen"


def find(name: str) -> Path | None:
    """The file `name` in SMIDGEN_DATA or in the cache, or None."""
    folders = (data_folder(), cache_folder())
    return next((f / name for f in folders if f is not None and (f / name).is_file()), None)


def fetch(file: RemoteFile) -> Path:
    """A local copy of `file`, downloaded if need be, with the right contents.

    Raises:
        BadInput: the download failed; the message says what to fetch and where to put it.
        BadFile: the contents do not have the expected SHA-256.
    """
    found = find(file.name)
    if found is not None:
        verify(found, file.sha256)
        return found
    destination = cache_folder() / file.name
    try:
        _download(file, destination)
    except (OSError, HTTPException) as problem:  # URLError and time-outs are OSErrors
        if isinstance(problem, HTTPError):
            problem.close()
        raise BadInput(
            file.name,
            f"the download from {file.url} failed ({problem})",
            "",
            f"Fetch that file and put it at {destination}, or into the folder named by SMIDGEN_DATA",
        ) from problem
    return destination


def need(name: str, sha256: str, origin: str) -> Path:
    """The file `name` that can't be downloaded, with the right contents. `origin` says what it is.

    Raises:
        BadInput: it is neither in SMIDGEN_DATA nor in the cache.
        BadFile: the contents do not have the expected SHA-256.
    """
    found = find(name)
    if found is None:
        remedy = f"Put {name} into a folder and point SMIDGEN_DATA at that, or put it into {cache_folder()}"
        raise BadInput(name, "the file is not there", f"it is needed: {origin}", remedy)
    verify(found, sha256)
    return found


def verify(path: Path, sha256: str) -> None:
    """Raise BadFile unless the contents of `path` have this SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise BadFile(
            str(path),
            f"its SHA-256 is {digest.hexdigest()[:12]}…",
            f"{sha256[:12]}… is expected",
            "Delete the file and fetch it again",
        )


def _download(file: RemoteFile, destination: Path) -> None:
    """Into a temporary neighbour first: an interrupted or wrong download never bears the final name."""
    with appearing(destination) as unfinished:
        with (
            unfinished.open("xb") as out,
            urllib.request.urlopen(file.url, timeout=DOWNLOAD_TIMEOUT_S) as source,
        ):
            while block := source.read(_BLOCK_BYTES):
                out.write(block)
        verify(unfinished, file.sha256)
