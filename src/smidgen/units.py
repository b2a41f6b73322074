"""Quantities as users write them: sizes, times, percentages.

A kilobyte is 1,024 bytes here (`KB` and `KiB` alike), as in the data sheets of the devices.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from smidgen.errors import BadInput

BYTES: Mapping[str, int] = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
BYTES_BINARY: Mapping[str, int] = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
MILLISECONDS: Mapping[str, float] = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
SECONDS: Mapping[str, float] = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
MICROJOULES: Mapping[str, float] = {"pj": 1e-6, "nj": 1e-3, "uj": 1.0, "µj": 1.0, "mj": 1e3, "j": 1e6}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*([a-zA-Zµ%]*)\s*", re.ASCII)


def parse_bytes(text: str, where: str = "size") -> int:
    """`64KB` -> 65536. Units B, KB, MB, GB (powers of 1,024), any case; fractions of a byte round down."""
    return math.floor(_parse(text, where, {**BYTES, **BYTES_BINARY}, "a size such as 64KB"))


def parse_milliseconds(text: str, where: str = "time") -> float:
    """`10ms` -> 10.0. Units ns, us, ms, s; a bare number has no meaning here and is refused."""
    return _parse(text, where, MILLISECONDS, "a time such as 10ms")


def parse_seconds(text: str, where: str = "duration") -> float:
    """`20m` -> 1200.0. Units s (the default), m, min, h."""
    return _parse(text, where, SECONDS, "a duration such as 90s, 20m or 2h")


def parse_microjoules(text: str, where: str = "energy") -> float:
    """`10uJ` -> 10.0. Units pJ, nJ, uJ, mJ, J, any case."""
    return _parse(text, where, MICROJOULES, "an energy such as 10uJ")


def parse_percent(text: str, where: str = "percentage") -> float:
    """`1`, `1%` -> 1.0 (percentage points)."""
    return _parse(text, where, {"": 1.0, "%": 1.0}, "percentage points such as 1 or 0.5%")


def format_bytes(count: float) -> str:
    """Three significant digits: 65536 -> `64 KB`; below 1,024 the exact count."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= size:
            return f"{_three_digits(count / size)} {unit}"
    return f"{_three_digits(count) if count != int(count) else int(count)} B"


def format_milliseconds(ms: float) -> str:
    """Three significant digits in the unit that reads best: 0.0123 -> `12.3 µs`."""
    if ms >= 1000:
        return f"{_three_digits(ms / 1000)} s"
    if ms >= 1:
        return f"{_three_digits(ms)} ms"
    return f"{_three_digits(ms * 1000)} µs"


def format_microjoules(uj: float) -> str:
    """Three significant digits in the unit that reads best: 0.0123 -> `12.3 nJ`."""
    if uj >= 1000:
        return f"{_three_digits(uj / 1000)} mJ"
    if uj >= 1:
        return f"{_three_digits(uj)} µJ"
    return f"{_three_digits(uj * 1000)} nJ"


def format_seconds(seconds: float) -> str:
    """A duration for people: `7 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _parse(text: str, where: str, units: Mapping[str, float], expected: str) -> float:
    match = _QUANTITY.fullmatch(text)
    unit = match[3] if match else ""
    factor = units.get(unit, units.get(unit.lower()))
    if match is None or factor is None:
        known = ", ".join(name for name in units if name)
        raise BadInput(where, f"{text!r} is not {expected}", f"known units are {known}")
    value = float(match[1] + (match[2] or "")) * factor
    if not math.isfinite(value):
        raise BadInput(where, f"{text!r} is too large a number")
    return value


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
