"""How much of what a recurrence moves it had to move: Data Reuse Efficiency of schedules, and of our plan.

Loop nests of an int8 LSTM run through a simulated cache (`cache.py`), which cachegrind checks where it is
installed; then the calls of the native plan for LSTM 28→192 do. Writes results/dre.{json,md}.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.agreement import network
from benchmarks.cache import Access, Cache, Traffic
from benchmarks.common import progress, write_results
from benchmarks.recurrence import (
    Event,
    Lstm,
    accesses,
    batched_input,
    fused_gates,
    gate_by_gate,
    run,
    serpentine,
)
from smidgen.lower.program import Call, Pointer, Program
from smidgen.lower.schedule import schedule
from smidgen.models import lstm as lstm_model
from smidgen.run.loops import with_joined_products

LSTM = Lstm(steps=32, inputs=128, hidden=128)  # 128 KiB of weights
SMALL, LARGE = Cache(32 << 10, 8), Cache(256 << 10, 8)
LEVEL1, LEVEL2 = Cache(48 << 10, 12), Cache(2 << 20, 16)  # of this kind of processor
KIB = 1024
Found = dict[tuple[str, int], Traffic]  # by name and bytes of the cache
HOW = (
    "Simulated: set-associative cache, lines of 64 bytes, least recently used goes first, writes allocate "
    "and are written back. DRE = 100 · working set / bytes to and from memory (Thakker et al. 2019, "
    "arXiv:1904.03302). First an LSTM {inputs}→{hidden}, {steps} steps, int8, {weights} KiB of weights, in a "
    "cache of a quarter of that and in one that holds everything: (a) gate by gate, (b) fused gates, (c) the "
    "input's product for τ steps at once, (e) recurrent rows down and up in turns. *Formula*: (c) reads its "
    "input weights steps/τ times and its recurrent weights every step, moves the sums of the input three "
    "times (fetched to be written, written back, read), memory cells twice a step; (e) saves a cache of "
    "weights each step but one, at most. *cachegrind* counts misses of the same loops in C ({valgrind}). "
    "Then the calls of our plan for LSTM 28→192, 28 steps, as `lower.schedule` orders them (devices) and as "
    "hosts run them (`run/loops.py`), in caches of 48 KiB and 2 MiB; a call counts as one pass over its "
    "operands, samples side by side share one pass over the constants.\n\n{claims}"
)


@dataclass(frozen=True)
class Schedule:
    """`loops`: its name in recurrence.c. `formula`: bytes that the small cache should move, if known."""

    name: str
    loops: str
    together: int
    events: Callable[[Lstm], Iterator[Event]]
    formula: int | None = None


def expected_bytes(lstm: Lstm, together: int) -> int:
    """Traffic of (c) where recurrent weights do not fit."""
    weights = -(-lstm.steps // together) * lstm.input_bytes + lstm.steps * lstm.hidden_bytes
    sums, cells = 3 * 2 * lstm.steps * lstm.rows, 2 * 2 * lstm.steps * lstm.hidden
    return weights + sums + cells + lstm.steps * (lstm.inputs + 2 * lstm.hidden)


def schedules(lstm: Lstm, cache: Cache) -> list[Schedule]:
    """(a), (b), (c) for a few steps and for all, and (c) with (e)."""
    everything, few = lstm.steps, 8
    saved = (everything - 1) * cache.nbytes
    return [
        Schedule("(a) gate by gate", "gates", 1, gate_by_gate),
        Schedule("(b) fused gates", "fused", 1, fused_gates),
        *(
            Schedule(
                f"(c) input for τ = {n} steps",
                "input",
                n,
                partial(batched_input, together=n),
                expected_bytes(lstm, n),
            )
            for n in (few, everything)
        ),
        Schedule(
            f"(c + e) τ = {everything}, serpentine",
            "serpentine",
            everything,
            partial(batched_input, together=everything, order=serpentine),
            expected_bytes(lstm, everything) - saved,
        ),
    ]


def program_accesses(program: Program, samples: int = 1) -> Iterator[Access]:
    """What each call of a plan reads and writes, turn by turn, for samples side by side."""
    starts, at = {}, 0
    for number, constant in enumerate(program.constants):
        starts["constant", number] = at
        at += -(-constant.array.nbytes // 64) * 64
    step = -(-program.arena_bytes // 64) * 64
    starts["arena", 0] = at
    at += samples * step
    for space, ports in (("input", program.inputs), ("output", program.outputs)):
        for number, port in enumerate(ports):
            starts[space, number] = at
            at += samples * port.nbytes
    sizes = {"constant": 0, "arena": step}
    sizes |= {
        space: ports[0].nbytes for space, ports in (("input", program.inputs), ("output", program.outputs))
    }
    for block in program.blocks:
        for turn in range(block.turns):
            for call in program.calls[block.first : block.first + block.count]:
                yield from _call_accesses(call, turn, samples, starts, sizes)


def _call_accesses(
    call: Call, turn: int, samples: int, starts: dict[tuple[str, int], int], sizes: dict[str, int]
) -> Iterator[Access]:
    def at(pointer: Pointer, sample: int) -> int:
        first = starts[pointer.space, pointer.index] + sample * sizes[pointer.space]
        return first + pointer.offset + turn * pointer.step

    present = [pointer for pointer in call.pointers if pointer is not None]
    for pointer in present[:-1]:
        for sample in range(1 if pointer.space == "constant" else samples):
            yield Access(at(pointer, sample), pointer.nbytes, False)
    for sample in range(samples):
        yield Access(at(present[-1], sample), present[-1].nbytes, True)


def cachegrind_misses(lstm: Lstm, one: Schedule, cache: Cache, binary: Path) -> int:
    """Data misses of the C loops, those of an empty run of one step with one unit taken off."""

    def misses(*sizes: int) -> int:
        found = subprocess.run(
            [
                "valgrind", "--tool=cachegrind", "--cache-sim=yes", "--cachegrind-out-file=/dev/null",
                f"--D1={cache.nbytes},{cache.ways},64", f"--LL={8 << 20},16,64",
                str(binary), one.loops, *map(str, sizes),
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        counted = re.search(r"D1\s+misses:\s+([\d,]+)", found.stderr)
        assert counted, found.stderr
        return int(counted[1].replace(",", ""))

    return misses(lstm.steps, lstm.inputs, lstm.hidden, one.together) - misses(1, 1, 1, 1)


def compiled(folder: Path) -> Path | None:
    """The C loops, where cachegrind and a C compiler are there."""
    if not shutil.which("valgrind") or not shutil.which("gcc"):
        return None
    binary = folder / "recurrence"
    source = Path(__file__).with_suffix("").parent / "recurrence.c"
    subprocess.run(["gcc", "-O1", "-std=c11", "-o", str(binary), str(source)], check=True)
    return binary


def row(what: str, cache: Cache, traffic: Traffic, per: int = 1, **more: Any) -> dict[str, Any]:
    ratio = traffic.nbytes / traffic.working_set_bytes
    return {
        "what": what,
        "cache, KiB": cache.nbytes // KIB,
        "working set, KiB": round(traffic.working_set_bytes / KIB),
        "traffic a sample, KiB": round(traffic.nbytes / per / KIB),
        "× working set": f"{ratio:.2f}",
        "DRE, %": f"{traffic.reuse_percent:.1f}",
        "formula, KiB": "–",
        "misses": f"{traffic.misses:,}",
        "cachegrind": "–",
        **more,
    }


def schedule_rows(binary: Path | None) -> tuple[list[dict[str, Any]], Found]:
    rows, found = [], {}
    outputs = run(LSTM, gate_by_gate(LSTM))
    for cache in (SMALL, LARGE):
        for one in progress(schedules(LSTM, SMALL), f"{cache.nbytes // KIB} KiB"):
            np.testing.assert_array_equal(run(LSTM, one.events(LSTM)), outputs)
            traffic = cache.traffic(accesses(LSTM, one.events(LSTM), one.together))
            found[one.loops + str(one.together), cache.nbytes] = traffic
            more = {}
            if cache is SMALL and one.formula is not None:
                more["formula, KiB"] = f"{one.formula / KIB:.0f} ({traffic.nbytes / one.formula - 1:+.1%})"
            if binary is not None:
                more["cachegrind"] = f"{cachegrind_misses(LSTM, one, cache, binary):,}"
            rows.append(row(one.name, cache, traffic, **more))
    return rows, found


def once(traffic: Traffic) -> bool:
    """Whether no line had to be fetched again."""
    return traffic.read_bytes == traffic.working_set_bytes


def plan_rows() -> tuple[list[dict[str, Any]], Found]:
    program = schedule(network(lstm_model.build, (28, 28), 10, "- quantize.affine: {}"))
    hosts = with_joined_products(program)
    orders = {"devices": (program, 1), "hosts": (hosts, 1), "hosts, 16 samples side by side": (hosts, 16)}
    rows, found = [], {}
    for cache in (LEVEL1, LEVEL2):
        for name, (order, samples) in progress(orders.items(), f"plan, {cache.nbytes // KIB} KiB"):
            found[name, cache.nbytes] = traffic = cache.traffic(program_accesses(order, samples))
            rows.append(row(f"plan 28→192, {name}", cache, traffic, samples))
    return rows, found


def schedule_claims(found: Found) -> list[tuple[str, bool]]:
    names = ("gates1", "fused1", "input8", "input32", "serpentine32")
    a, b, few, c, both = (found[name, SMALL.nbytes] for name in names)
    rising = [traffic.reuse_percent for traffic in (a, c, both)]
    pairs = ((few, 8), (c, LSTM.steps))
    off = max(abs(traffic.nbytes / expected_bytes(LSTM, steps) - 1) for traffic, steps in pairs)
    fitting = [traffic for (_, nbytes), traffic in found.items() if nbytes == LARGE.nbytes]
    least, most = (f(traffic.reuse_percent for traffic in fitting) for f in (min, max))
    share = b.nbytes / a.nbytes
    return [
        (
            "DRE of (a) < (c) < (c + e): {:.1f} < {:.1f} < {:.1f}".format(*rising),
            rising == sorted(set(rising)),
        ),
        (f"(b) without (c) saves little: {share:.2f} of the bytes of (a) remain", share > 0.9),
        (f"traffic of (c) within 10% of the formula: at most {off:.1%} off", off <= 0.1),
        (
            "when everything fits each line is fetched once; DRE is below 100 only by what is written back, "
            f"{least:.1f} to {most:.1f}",
            all(once(traffic) for traffic in fitting),
        ),
        ("outputs of all schedules are identical", True),  # schedule_rows() raises otherwise
    ]


def plan_claims(plans: Found) -> list[tuple[str, bool]]:
    hosts, devices = (plans[order, LEVEL1.nbytes] for order in ("hosts", "devices"))
    share = hosts.read_bytes / devices.read_bytes
    return [
        (
            f"in {LEVEL2.nbytes // KIB} KiB the plan of hosts fetches each line once: recurrent weights stay",
            once(plans["hosts", LEVEL2.nbytes]),
        ),
        (
            f"in {LEVEL1.nbytes // KIB} KiB, a third of the recurrent weights, they do not stay: it fetches "
            f"{share:.2f} of what the order of devices does",
            share < 1 and not once(hosts),
        ),
    ]


def verdicts(claims: Sequence[tuple[str, bool]]) -> str:
    return "\n".join(f"- {claim}: {'holds' if holds else 'DOES NOT HOLD'}." for claim, holds in claims)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        binary = compiled(Path(scratch))
        rows, found = schedule_rows(binary)
    of_plan, plans = plan_rows()
    valgrind = "run once with valgrind's D1 of the same size" if binary else "not installed here"
    sizes = {"inputs": LSTM.inputs, "hidden": LSTM.hidden, "steps": LSTM.steps}
    weights = (LSTM.input_bytes + LSTM.hidden_bytes) // KIB
    said = verdicts([*schedule_claims(found), *plan_claims(plans)])
    how = HOW.format(**sizes, weights=weights, valgrind=valgrind, claims=said)
    write_results("dre", "Data Reuse Efficiency of recurrences", [*rows, *of_plan], how)


if __name__ == "__main__":
    main()
