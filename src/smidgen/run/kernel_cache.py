"""The file that remembers how long kernels take: a cache, whose loss costs time and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from smidgen import __version__
from smidgen.data.source import cache_folder
from smidgen.errors import SmidgenError
from smidgen.files import read_bytes, write_whole
from smidgen.run.cpu import cpu_name

MOST_BYTES = 16 << 20
MOST_ENTRIES = 20_000  # the oldest go first


def times_file() -> Path:
    """One file a processor and version."""
    digest = hashlib.sha256(f"{cpu_name()} {__version__}".encode()).hexdigest()[:12]
    return cache_folder() / f"kernels-{digest}.json"


def read_times() -> dict[str, dict[str, float]]:
    """Seconds by call and candidate. A file that is absent or damaged holds none."""
    try:
        found = json.loads(read_bytes(times_file(), MOST_BYTES))
    except (SmidgenError, ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {key: times for key, times in entries if _sound(times)}


def remember(new: Mapping[str, Mapping[str, float]]) -> None:
    """Add to the file. Where the folder can't be written, the next plan measures again."""
    merged = {**read_times(), **new}
    kept = dict(list(merged.items())[-MOST_ENTRIES:])
    with suppress(SmidgenError):
        write_whole(times_file(), json.dumps(kept, indent=0) + "\n")


def _sound(times: Any) -> bool:
    return isinstance(times, dict) and all(isinstance(s, float) and s >= 0 for s in times.values())
