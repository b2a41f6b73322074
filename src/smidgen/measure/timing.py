"""Latency and throughput on this computer, and fair ratios between alternatives.

Machines are shared and clocks vary: single calls are timed, medians and interquartile ranges reported, and
alternatives are interleaved in one run so that a slow moment hits all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.measurement import Measurement

Call = Callable[[], object]
FloatArray = npt.NDArray[np.float64]
LEAST_REPEATS = 100
WARM_UP = 10
FEWEST, TELL_PERIOD_S = 20, 0.2


@dataclass(frozen=True)
class Timings:
    """Seconds [repeats] of alternatives that took turns: entry i of all of them is from the same moment."""

    seconds: Mapping[str, FloatArray]

    def latency(self, name: str) -> list[Measurement]:
        """`latency_ms` (median) and `latency_p95_ms`; `spread` is the interquartile range."""
        ms = self.seconds[name] * 1e3
        p50, p95 = np.quantile(ms, [0.5, 0.95])
        return [
            Measurement("latency_ms", float(p50), "ms", "measured", len(ms), _spread(ms)),
            Measurement("latency_p95_ms", float(p95), "ms", "measured", len(ms), _spread(ms)),
        ]

    def speedup(self, slow: str, fast: str) -> Measurement:
        """How many times longer `slow` takes than `fast`: the median of ratios of neighbouring calls."""
        ratios = self.seconds[slow] / self.seconds[fast]
        return Measurement("speedup", float(np.median(ratios)), "×", "measured", len(ratios), _spread(ratios))


def latency(call: Call, repeats: int = 200) -> list[Measurement]:
    """`latency_ms` (median) and `latency_p95_ms` of single calls; `spread` is the interquartile range.

    Raises ValueError for fewer than 100 repeats.
    """
    return interleaved({"": call}, repeats).latency("")


def interleaved(calls: Mapping[str, Call], repeats: int = 200) -> Timings:
    """Time several alternatives in turns, after a warm-up. Raises ValueError for fewer than 100 repeats."""
    if repeats < LEAST_REPEATS:
        raise ValueError(f"{repeats} repeats are too few for a median and a 95th percentile")
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    rounds = [[_seconds(call) for call in calls.values()] for _ in range(repeats)]
    return Timings(dict(zip(calls, np.array(rounds).T, strict=True)))


def interleaved_for(
    calls: Mapping[str, Call], seconds: float, tell: Callable[[float], None] = lambda fraction: None
) -> Timings:
    """Time alternatives in turns for about so many seconds, at least `FEWEST` rounds.

    Before each timed call is one that is not: what the others left in the caches shall not count. `tell`
    hears of the share done, 0..1.
    """
    start, told = time.monotonic(), 0.0
    rounds: list[list[float]] = []
    while (passed := time.monotonic() - start) < seconds or len(rounds) < FEWEST:
        rounds.append([_warm_seconds(call) for call in calls.values()])
        if passed - told > TELL_PERIOD_S:
            told = passed
            tell(min(max(passed / seconds, 0.0), len(rounds) / FEWEST, 1.0))
    tell(1.0)
    return Timings(dict(zip(calls, np.array(rounds).T, strict=True)))


def throughput(
    run: Callable[[int], object], batches: Sequence[int] = (1, 8, 64, 256), repeats: int = 5
) -> Measurement:
    """`throughput` in samples a second: max over batch sizes B of B / t(B), t the median of `repeats` calls.

    `run(B)` computes one batch of B samples.
    """
    best = Measurement("throughput", 0.0, "1/s", "measured", repeats)
    for size in batches:
        run(size)
        rates = size / np.array([_seconds(lambda size=size: run(size)) for _ in range(repeats)])  # type: ignore[misc]
        if np.median(rates) > best.value:
            best = Measurement(
                "throughput", float(np.median(rates)), "1/s", "measured", repeats, _spread(rates)
            )
    return best


def _warm_seconds(call: Call) -> float:
    call()
    return _seconds(call)


def _seconds(call: Call) -> float:
    # A call below the clock's resolution counts as one tick, so that ratios stay finite.
    start = time.perf_counter_ns()
    call()
    return max(time.perf_counter_ns() - start, 1) / 1e9


def _spread(values: FloatArray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)
