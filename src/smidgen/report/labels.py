"""How names and numbers are written for people, the same in the terminal, on the page and in pictures."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.measurement import How, Measurement
from smidgen.report.model import Drop, Kind, Score
from smidgen.units import format_bytes, format_microjoules, format_milliseconds

COSTS: Mapping[str, str] = {
    "flash_bytes": "Flash",
    "file_bytes": "File size",
    "ram_bytes": "RAM",
    "latency_ms": "Latency",
    "latency_p95_ms": "Latency (95th percentile)",
    "throughput": "Throughput",
    "code_bytes": "Code",
    "model_bytes": "Model",
    "energy_uj": "Energy",
    "core_energy_uj": "Energy of the core",
    "instructions": "Instructions",
    "stack_used_bytes": "Stack used",
    "arena_used_bytes": "Arena used",
    "cost_per_million_usd": "Cost per million",
}
WHOLE = ("file_bytes", "model_bytes")  # costs to which computing the inputs would add nothing
METRICS: Mapping[str, str] = {
    "r2": "R²",
    "rmse": "RMSE",
    "mse": "MSE",
    "mae": "MAE",
    "auc": "AUC",
    "f1": "F1",
    "sdr_gain": "SDR improvement",
    "agreement": "agreement with the original (not accuracy)",
}
KINDS: Mapping[Kind, str] = {
    "compressed": "Compressed",
    "width baseline": "Narrower network",
    "other model": "Other model",
    "uncompressed": "Uncompressed",
}
HOW: Mapping[How, str] = {
    "measured": "ran on this machine, or is the length of a real file",
    "emulated": "the real program ran in an emulator of the device",
    "simulated": "the design ran in a simulator",
    "modelled": "computed from a model of the device; nothing ran",
}
TIMED_UNITS = ("ms", "1/s", "×")  # their spread is an interquartile range
ARTIFACT_CLASSES: Mapping[str, str] = {
    "integer": "Integers only: the same output bits everywhere",
    "weight_only": "Quantized weights, float activations: outputs agree within a stated tolerance",
    "approximate": "Approximate arithmetic: outputs agree within a stated error",
}


def cost_label(name: str) -> str:
    """`flash_bytes` -> `Flash`; an unknown name without its unit, in words."""
    return COSTS.get(name) or name.rsplit("_", 1)[0].replace("_", " ").capitalize()


def metric_label(name: str) -> str:
    """`accuracy` -> `Accuracy`, `rmse` -> `RMSE`; the user's own function as it is called."""
    if ":" in name:
        return name
    return METRICS.get(name) or name.replace("_", " ").capitalize()


def metric_name(name: str) -> str:
    """The same within a sentence."""
    return name if ":" in name else METRICS.get(name) or name.replace("_", " ")


def remark(features: str, name: str) -> str:
    """`features excluded` for a cost of a network whose input `features` (a report's) the host computes."""
    return "features excluded" if features and name not in WHOLE else ""


def format_value(value: float, unit: str) -> str:
    """A quantity with its unit: bytes and milliseconds in the size that reads best."""
    if unit in ("B", "byte", "bytes"):
        return format_bytes(value)
    if unit == "ms":
        return format_milliseconds(value)
    if unit in ("uJ", "uj"):
        return format_microjoules(value)
    if unit == "1/s":
        return f"{_plain(value)}/s"
    return f"{_plain(value)} {unit}".rstrip()


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def format_measurement(m: Measurement) -> str:
    """Value with its spread where several runs were made: `14 KB ± 1 KB`, `1.2 ms (IQR 50 µs)`."""
    value, spread = format_value(m.value, m.unit), format_value(m.spread, m.unit)
    if m.repeats < 2 or m.spread <= 0:
        return value
    return f"{value} (IQR {spread})" if m.unit in TIMED_UNITS else f"{value} ± {spread}"


def format_limit(name: str, limit: float) -> str:
    """A budget's limit, whose unit is the ending of its name."""
    return format_value(limit, name.rsplit("_", 1)[-1])


def format_score(score: Score) -> str:
    """`91.2 ± 0.3%`, without the spread for a single seed; `0.1234 ± 0.002` in a unit of its own."""
    percent = score.unit == "%"
    mean, sd = (f"{v:.1f}" if percent else f"{v:.4g}" for v in (score.mean, score.sd))
    return f"{mean} ± {sd}{score.unit}" if score.seeds > 1 else f"{mean}{score.unit}"


def signed(points: float, digits: int = 1) -> str:
    """`+0.4`, `−1.2`, `±0.0`: a change in points with a real minus sign."""
    rounded = round(points, digits)
    sign = "±" if rounded == 0 else "+" if rounded > 0 else "−"
    return f"{sign}{abs(rounded):.{digits}f}"


def format_change(drop: Drop) -> str:
    """A drop as the change that it is: `−0.4 points [−0.9, +0.1]`; a rising error: `+0.02 [+0.01, +0.03]`."""
    sign = -1 if drop.better == "higher" else 1
    low, high = sorted((sign * drop.low, sign * drop.high))
    points = " points" if drop.unit == "%" else ""
    middle, low_text, high_text = (signed_in(v, drop.unit) for v in (sign * drop.points, low, high))
    return f"{middle}{points} [{low_text}, {high_text}]"


def signed_in(change: float, unit: str) -> str:
    """A change of a score: one digit for points, four significant ones in a unit of its own."""
    if unit == "%":
        return signed(change)
    text = f"{abs(change):.4g}"
    return f"{'±' if float(text) == 0 else '+' if change > 0 else '−'}{text}"


def format_ratio(ratio: float) -> str:
    """`12.3×`; whole from 100 on."""
    return f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.3g}×"


def count(n: float) -> str:
    """1234567 -> `1.23 M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:g}"


def plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
