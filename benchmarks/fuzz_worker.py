"""Opens hostile files one after the other and says what became of each, for `benchmarks/fuzz.py`.

Arguments: kind, number of the first case, how many. Answers are lines of JSON: `{"begun": n}` before a case,
`{"case": n, "outcome": …, "seconds": …, "peak_bytes": …}` after it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz.harness import Kind, attempt, kind_of, seeded

STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main(name: str, first: int, count: int) -> None:
    kind = kind_of(name)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(-20, 0):  # imports what is imported late
            _outcome(kind, kind.case(seeded(name, number)), Path(folder))
        say(ready=True)
        for number in range(first, first + count):
            say(begun=number)
            say(case=number, **_measured(kind, kind.case(seeded(name, number)), Path(folder)))
    say(done=True)


def say(**answer: Any) -> None:
    print(json.dumps(answer), flush=True)


def _measured(kind: Kind, data: bytes, folder: Path) -> dict[str, Any]:
    before, started = _memory("VmRSS"), time.perf_counter()
    PEAK_RESET.write_text("5")
    answer = _outcome(kind, data, folder)
    return {**answer, "seconds": time.perf_counter() - started, "peak_bytes": _memory("VmHWM") - before}


def _outcome(kind: Kind, data: bytes, folder: Path) -> dict[str, str]:
    try:
        return {"outcome": attempt(kind, data, folder)}
    except Exception as fault:
        place = traceback.extract_tb(fault.__traceback__)[-1]
        what = f"{type(fault).__name__} at {Path(place.filename).name}:{place.lineno}: {fault}"
        return {"outcome": "fault", "fault": what[:300]}


def _memory(what: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
