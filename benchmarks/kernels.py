"""Kernels beyond int8 against what one would use instead: one thread, candidates in turns, medians.

    python benchmarks/kernels.py                 every family of benchmarks/kernel_cases/
    python benchmarks/kernels.py lowbit sparse   some of them; the results of the others stay

Times are those of the processor, not of the clock, as machines are shared; a Python call is part of each.
`cold` cases read a buffer larger than the caches before every call.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.common import RESULTS, progress, write_results
from benchmarks.kernel_cases.case import Case
from smidgen.kernels import native, structured
from smidgen.kernels.isa import chosen_isa

FAMILIES = ("lowbit", "sparse", "structured", "winograd", "hamming", "binary", "plans")
SECONDS_A_CASE, FEWEST_ROUNDS, MOST_ROUNDS = 6.0, 15, 400
ROUND_NS = 150_000  # a candidate is called this long in one turn
WARM_CALLS = 5  # the candidate before had the caches, and weights of 64 MB are not back after one call
COLD_BYTES = 1 << 29  # larger than any last-level cache that a machine shares with others
HOW = """\
One thread; candidates take turns; medians of processor time with the 10th and 90th percentile, the Python
call included; {warm} calls that are not timed precede a timed turn, but for cold cases. `times faster` is how
many times faster than this candidate the family's kernel is (the row without), with its spread over rounds.
`% of DRAM` compares the bytes that a kernel has to read with what a dense product reads a second in the best
tenth of the same rounds; cold: 512 MB were read before each call. `% of roof` does so for operations, of
which a multiply-accumulate and a bit of a product count two each, with what registers alone reach in the best
tenth of the same rounds: {roofs}. Counting bits can't gain more over another kernel than its roof is above
that one's speed; where a processor multiplies tiles of int8 faster than it counts bits, plans take those, and
so does LiteRT."""
ROOFS = {"multiply_add": "fp32 FMA", "popcount": "xor, popcount and add", "tiles": "int8 tiles (AMX)"}
ROOF_ROUNDS = 20_000


def main() -> None:
    """Time the families named on the command line, or all that exist."""
    named = sys.argv[1:] or [
        f for f in FAMILIES if (Path(__file__).parent / "kernel_cases" / f"{f}.py").exists()
    ]
    cases = [(family, make) for family in named for make in cases_of(family)]
    rows = [row for row in _stored() if row["family"] not in named]
    how = HOW.format(warm=WARM_CALLS, roofs=", ".join(ROOFS.values()))
    for family, make in progress(cases, "timing kernels"):
        case = make()
        measured = rows_of(family, case, timed(case))
        rows += measured
        print(
            "\n".join(
                f"{r['case']}: {r['candidate']} {r['us']} {r['times faster']} {r['goal']}" for r in measured
            )
        )
        write_results(
            "kernels",
            "Kernels beyond int8",
            rows,
            how,
            isa=chosen_isa(),
        )


def cases_of(family: str) -> list[Callable[[], Case]]:
    """The functions that set up the cases of `kernel_cases/<family>.py`."""
    made: list[Callable[[], Case]] = importlib.import_module(f"benchmarks.kernel_cases.{family}").CASES
    return made


def timed(case: Case) -> dict[str, list[float]]:
    """Microseconds a call of each candidate, round by round."""
    candidates = dict(case.candidates)
    disturb = _evict if case.cold else None
    if case.cold:
        candidates["DRAM"] = _reader()
    candidates |= {roof: _arithmetic(roof) for roof in set(case.roofs.values())}
    calls = {name: 1 if case.cold else _calls(run) for name, run in candidates.items()}
    found: dict[str, list[float]] = {name: [] for name in candidates}
    start = time.perf_counter()
    for rounds in range(MOST_ROUNDS):
        if rounds >= FEWEST_ROUNDS and time.perf_counter() - start > SECONDS_A_CASE:
            break
        for name, run in candidates.items():
            if disturb:
                disturb()
            else:
                for _ in range(WARM_CALLS):
                    run()
            found[name].append(_microseconds(run, calls[name]))
    return found


def rows_of(family: str, case: Case, times: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """A row for each candidate; goals stand beside the one that has to be beaten."""
    memory = times.get("DRAM")
    rows = []
    for name in case.candidates:
        low, high = np.percentile(times[name], [10, 90])
        rows.append(
            {
                "family": family,
                "case": case.name,
                "candidate": name,
                "us": f"{statistics.median(times[name]):.3g} ({low:.3g} to {high:.3g})",
                "times faster": "" if name == case.ours else _ratio(times[name], times[case.ours]),
                "goal": _verdict(case.goals.get(name), times[name], times[case.ours]),
                "% of DRAM": _share(case, memory, times[name]) if name == case.ours and memory else "",
                "% of roof": _roof_share(case, name, times) if name in case.roofs else "",
                "note": case.note if name == case.ours else "",
            }
        )
    return rows


def _ratio(others: list[float], ours: list[float]) -> str:
    ratios = [a / b for a, b in zip(others, ours, strict=True)]
    low, high = np.percentile(ratios, [10, 90])
    return f"{statistics.median(others) / statistics.median(ours):.3g} ({low:.3g} to {high:.3g})"


def _verdict(goal: float | None, others: list[float], ours: list[float]) -> str:
    if goal is None:
        return ""
    reached = statistics.median(others) / statistics.median(ours) >= goal
    return f"{goal}: {'reached' if reached else 'missed'}"


def _share(case: Case, memory: list[float], ours: list[float]) -> str:
    if case.read_bytes is None:
        return ""
    speed = READER_BYTES / float(np.percentile(memory, 10))  # a ceiling: what disturbs only ever slows down
    share = case.read_bytes / statistics.median(ours) / speed
    return f"{share:.0%} of {speed / 1000:.3g} GB/s{_roof_goal(case, case.ours)}"


def _roof_goal(case: Case, name: str) -> str:
    return f", goal {case.roof_goals[name]:.0%}" if name in case.roof_goals else ""


def _roof_share(case: Case, name: str, times: Mapping[str, list[float]]) -> str:
    roof = case.roofs[name]
    speed = roof_operations(roof) / float(np.percentile(times[roof], 10))
    share = case.operations / statistics.median(times[name]) / speed
    return f"{share:.0%} of {speed / 1e6:.3g} Tops/s {ROOFS[roof]}{_roof_goal(case, name)}"


def _microseconds(run: Callable[[], object], calls: int) -> float:
    start = time.process_time_ns()
    for _ in range(calls):
        run()
    return (time.process_time_ns() - start) / 1000 / calls


def _calls(run: Callable[[], object]) -> int:
    run()
    fastest = min(_microseconds(run, 1) for _ in range(5))
    return max(1, int(ROUND_NS / 1000 / max(fastest, 0.1)))


def roof_operations(roof: str) -> float:
    """How many operations one call of `_arithmetic(roof)` does."""
    count, _ = native().ceiling_arithmetic(chosen_isa(), roof, ROOF_ROUNDS)
    return float(count)


def _arithmetic(roof: str) -> Callable[[], object]:
    """Operations on registers alone."""
    return lambda: native().ceiling_arithmetic(chosen_isa(), roof, ROOF_ROUNDS)


READER_BYTES = 1 << 26


def _reader() -> Callable[[], object]:
    """Reads 64 MB once, as fast as a product can."""
    weight = np.ones((4096, READER_BYTES // 4096 // 4), np.float32)
    kernel, x, y = structured.dense(weight), np.ones(weight.shape[1], np.float32), np.empty(4096, np.float32)
    return lambda: kernel(x, y)


_BUFFER: list[np.ndarray] = []


def _evict() -> None:
    if not _BUFFER:
        _BUFFER.append(np.ones(COLD_BYTES // 8, np.int64))
    _BUFFER[0].max()


def _stored() -> list[dict[str, Any]]:
    path = RESULTS / "kernels.json"
    return list(json.loads(path.read_text(encoding="utf-8"))["rows"]) if path.exists() else []


if __name__ == "__main__":
    main()
