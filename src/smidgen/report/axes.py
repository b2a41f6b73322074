"""Axes of frontier plots: round ticks on logarithmic scales, and room for all that is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from smidgen.report.labels import cost_label, metric_label, remark
from smidgen.report.model import Point, Report

STEPS: Mapping[int, Sequence[Sequence[float]]] = {
    2: ((1,), (1, 1.5), (1, 1.25, 1.5, 1.75)),
    10: ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)),
}
LEAST_SPAN = 5.0  # percentage points
LEAST_SHARE = 0.5  # of the uncompressed network's score, where that is no percentage


def cost_axis(alt: Any, report: Report, shown: Sequence[Point], cost: str) -> Any:
    """The horizontal channel, wide enough for the budget; logarithmic unless something is free."""
    values = [report.cost(p, cost) for p in shown]
    values += [report.budget[cost]] if cost in report.budget else []
    hows = sorted({m.how for p in shown if (m := p.measurement(cost))})
    said = ", ".join([*hows, remark(report.features, cost)]).removesuffix(", ")
    title, low, high = f"{cost_label(cost)} ({said})", min(values) / 1.25, max(values) * 1.25
    if low <= 0:
        return alt.X("cost:Q", title=title, scale=alt.Scale(zero=True), axis=alt.Axis(labelExpr=_label(cost)))
    places = ticks(low, high, 2 if cost.endswith("_bytes") else 10)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X("cost:Q", title=title, scale=scale, axis=alt.Axis(values=places, labelExpr=_label(cost)))


def accuracy_axis(alt: Any, report: Report, shown: Sequence[Point]) -> dict[str, Any]:
    """Settings of the vertical channel."""
    scores = [p.validation for p in shown]
    bottom, top = min(s.mean - s.sd for s in scores), max(s.mean + s.sd for s in scores)
    first = report.uncompressed.validation
    least = 0.1 if first.unit == "%" else 0.01 * abs(first.mean) or 1e-9
    margin = max(0.12 * (top - bottom), least)
    domain = [bottom - margin, top + margin]
    scale = alt.Scale(domain=domain, nice=False, reverse=first.better == "lower")  # better is always up
    unit = f"{first.unit}, " if first.unit else ""
    title = f"{metric_label(report.metric)} ({unit}validation)"
    return {"title": title, "scale": scale, "axis": alt.Axis(tickCount=6)}


def lowest_drawn(report: Report) -> float:
    """The gain below which points are left out, because they would flatten the frontier."""
    first = report.uncompressed.validation
    matter = [p.validation.gain for p in report.points if p.on_frontier or p.chosen]
    matter.append(first.gain)
    least = LEAST_SPAN if first.unit == "%" else LEAST_SHARE * abs(first.mean)
    return min(matter) - max(max(matter) - min(matter), least)


def ticks(low: float, high: float, base: int) -> list[float]:
    """At most 8 round numbers in [low, high]: powers of `base`, or steps between them if those are few."""
    exponents = range(math.floor(math.log(low, base)), math.ceil(math.log(high, base)) + 1)
    for steps in STEPS[base]:
        every = (step * float(base) ** exponent for exponent in exponents for step in steps)
        found = [tick for tick in every if low <= tick <= high]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / 8) or 1]


def _label(cost: str) -> str:
    """A Vega expression that writes a tick like the tables do."""
    if cost.endswith("_ms"):
        micro = "format(datum.value * 1000, '~g') + ' µs'"
        return f"datum.value < 1 ? {micro} : format(datum.value, '~g') + ' ms'"
    if not cost.endswith("_bytes"):
        unit = cost.rsplit("_", 1)[-1]
        return f"format(datum.value, '~g') + ' {unit}'" if unit.isalpha() else "format(datum.value, '~g')"
    kb = "datum.value / 1024"
    large = f"{kb} >= 1024 ? format({kb} / 1024, '~g') + ' MB' : format({kb}, '~g') + ' KB'"
    return f"datum.value >= 1024 ? ({large}) : format(datum.value, '~g') + ' B'"
