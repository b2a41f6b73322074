"""100,000 hostile files of each kind: every one is opened or refused, in bounded time and memory.

    python benchmarks/fuzz.py                  all kinds that are not complete; may be killed and called again
    python benchmarks/fuzz.py onnx npz --cases 20000

Cases are opened in a process of their own, which reports each before and after; one that says nothing for
5 seconds hangs, one that is gone has crashed. Both are recorded with the number that makes the case again
(`tests.fuzz.harness.seeded`). Memory is the growth of the process's peak over what it had before the case,
after the packages were imported and some files were opened.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from smidgen.errors import SmidgenError
from smidgen.files import write_whole
from smidgen.run.cpu import cpu_name
from smidgen.units import format_bytes
from tests.fuzz.harness import KINDS

CASES = 100_000
CHUNK = 1000
HANG_S = 5.0
START_S = 120.0
ALLOWED_BYTES = 64 << 20
WORKER = Path(__file__).with_name("fuzz_worker.py")
ROOT = Path(__file__).parents[1]
Record = dict[str, Any]


class Worker:
    """A process that opens cases, one a line of answer."""

    def __init__(self, kind: str, first: int, count: int) -> None:
        command = [sys.executable, str(WORKER), kind, str(first), str(count)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        self._text = b""

    def answers(self) -> Iterator[Record]:
        """Until it ends. Raises TimeoutError if a case takes over `HANG_S`."""
        patience = START_S
        while (line := self._line(patience)) is not None:
            answer = json.loads(line)
            patience = HANG_S if "begun" in answer or "ready" in answer else START_S
            yield answer

    def _line(self, seconds: float) -> bytes | None:
        assert self._process.stdout is not None
        while b"\n" not in self._text:
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                raise TimeoutError
            block = self._process.stdout.read1()
            if not block:
                return None
            self._text += block
        line, _, self._text = self._text.partition(b"\n")
        return line

    def end(self) -> int:
        """Its exit code."""
        self._process.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait()


@contextmanager
def working(kind: str, first: int, count: int) -> Iterator[Worker]:
    worker = Worker(kind, first, count)
    try:
        yield worker
    finally:
        worker.end()


def empty() -> Record:
    return {
        "cases": 0,
        "outcomes": {},
        "faults": [],
        "slowest": [0.0, 0],
        "peak_bytes": [0, 0],
        "seconds": 0.0,
    }


def run_chunk(kind: str, record: Record) -> None:
    """Add the next `CHUNK` cases to the record."""
    target = record["cases"] + CHUNK
    while record["cases"] < target:
        running, done = None, False
        with working(kind, record["cases"], target - record["cases"]) as worker:
            try:
                for answer in worker.answers():
                    running = answer.get("begun")
                    done = "done" in answer
                    if "outcome" in answer:
                        _count(record, answer)
                what = "crash"
            except TimeoutError:
                what = "hang"
        if not done:
            if running is None:
                raise RuntimeError(f"the worker for {kind} does not start")
            _count(record, {"case": running, "outcome": what, "fault": what, "seconds": 0.0, "peak_bytes": 0})


def _count(record: Record, answer: Record) -> None:
    number, outcome = answer["case"], answer["outcome"]
    record["cases"] = number + 1
    record["outcomes"][outcome] = record["outcomes"].get(outcome, 0) + 1
    record["slowest"] = max(record["slowest"], [answer["seconds"], number])
    record["peak_bytes"] = max(record["peak_bytes"], [answer["peak_bytes"], number])
    if "fault" in answer or answer["peak_bytes"] > ALLOWED_BYTES or answer["seconds"] > HANG_S:
        fault = answer.get("fault") or f"{answer['seconds']:.1f} s, {format_bytes(answer['peak_bytes'])}"
        record["faults"].append({"case": number, "what": fault})


def fuzz(kind: str, cases: int) -> None:
    path = RESULTS / "fuzz.json"
    while True:
        records = json.loads(path.read_text()) if path.exists() else {"kinds": {}}
        record = records["kinds"].setdefault(kind, empty())
        if record["cases"] >= cases:
            return
        started = time.monotonic()
        run_chunk(kind, record)
        record["seconds"] += time.monotonic() - started
        records["cpu"] = cpu_name()
        write_whole(path, json.dumps(records, indent=1) + "\n")
        write_whole(RESULTS / "fuzz.md", page(records))
        print(kind, record["cases"], record["outcomes"], len(record["faults"]), "faults", flush=True)


def page(records: Record) -> str:
    lines = [
        "# Hostile files",
        "",
        "Every case must be opened, or refused with a SmidgenError; within 5 s, without a crash, and with at",
        "most 64 MB more than the process had before it. A case is a sound file with bits flipped, parts cut",
        "or spliced, or fields edited, checksums made right again (`tests/fuzz/`).",
        "",
        "| kind | cases | opened | refused by | faults | slowest | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, record in records["kinds"].items():
        outcomes = dict(sorted(record["outcomes"].items()))
        opened = outcomes.pop("loaded", 0)
        refused = ", ".join(f"{name} {count:,}" for name, count in outcomes.items())
        lines.append(
            f"| {kind} | {record['cases']:,} | {opened:,} | {refused} | {len(record['faults'])} "
            f"| {1000 * record['slowest'][0]:.0f} ms | {format_bytes(record['peak_bytes'][0])} |"
        )
    lines += ["", f"Machine: {records['cpu']}, shared while it ran. Script: `benchmarks/fuzz.py`.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--cases", type=int, default=CASES)
    given = parser.parse_args()
    for kind in given.kinds or KINDS:
        fuzz(kind, given.cases)


if __name__ == "__main__":
    try:
        main()
    except SmidgenError as problem:
        sys.exit(f"error: {problem}")
