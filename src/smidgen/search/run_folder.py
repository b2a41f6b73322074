"""The folder of a run: one process at a time, settings that can't change under it, nothing half-written.

    run.json                    settings and their digest
    journal.log                 the sampler's history (optuna)
    trials/0007/outcome.json    what became of a candidate
    trials/0007/seed-0/         one seed's artifact, measurements and predictions

Every folder and file appears by a rename, complete; what a killed process leaves starts with `.tmp-`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smidgen.errors import BadFile, BadInput
from smidgen.files import FULL_DISK, TEMPORARY, appearing, remove, unwritable, write_whole

SCHEMA = 1


class RunFolder:
    """Paths and atomic writes below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials = path / "trials"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the lock of a killed process is gone.

        Raises:
            BadInput: another process holds it.
            Unwritable: it can't be written, or the disk became full: what was completed is intact.
        """
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            handle = (self.path / "lock").open("w")
        except OSError as problem:
            raise unwritable(self.path, problem) from problem
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as busy:
                raise BadInput(
                    str(self.path),
                    "another process is searching in this folder",
                    "",
                    "Wait for it or choose another --out",
                ) from busy
            self._sweep()
            try:
                yield
            except OSError as problem:
                if problem.errno not in FULL_DISK:
                    raise
                raise unwritable(self.path, problem) from problem

    def claim(self, settings: Mapping[str, Any]) -> bool:
        """Bind the folder to `settings`; True if it was bound to the same ones before (a resumed run).

        Raises BadInput naming the settings that differ.
        """
        path = self.path / "run.json"
        if not path.exists():
            write_json(path, {"schema": SCHEMA, "digest": digest(settings), "settings": settings})
            return False
        record = read_json(path)
        if record.get("digest") == digest(settings):
            return True
        earlier: dict[str, Any] = record.get("settings", {})
        changed = sorted(
            k for k in {*earlier, *settings} if _plain(earlier.get(k)) != _plain(settings.get(k))
        )
        raise BadInput(
            str(self.path),
            f"this run was started with other settings ({', '.join(changed) or 'schema'} changed)",
            "a resumed run keeps its settings",
            "Choose another --out, or the old settings",
        )

    def trial(self, key: str) -> Path:
        return self.trials / key

    @contextmanager
    def appearing(self, final: Path) -> Iterator[Path]:
        """A temporary folder that becomes `final` when the block succeeds and vanishes when it does not."""
        with appearing(final) as unfinished:
            unfinished.mkdir()
            yield unfinished

    def _sweep(self) -> None:
        """Remove what a killed process left unfinished."""
        for left in self.path.rglob(f"{TEMPORARY}*"):
            remove(left)


def digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, the first 16 hex digits."""
    return hashlib.sha256(_plain(settings).encode()).hexdigest()[:16]


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a record, whole and durably. Raises Unwritable."""
    write_whole(path, json.dumps(data, indent=1, sort_keys=True))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises BadFile."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise BadFile(
            str(path), "not a readable JSON file", "", "Remove the trial's folder or start a new run"
        ) from problem
    if not isinstance(data, dict):
        raise BadFile(str(path), f"a JSON {type(data).__name__}", "an object is needed")
    return data


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
