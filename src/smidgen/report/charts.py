"""Frontier plots as Vega-Lite: accuracy against one cost, budget, error bars, baselines in other shapes.

Colours are left to the theme (`Theme.config`), so that one specification serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smidgen.errors import MissingExtra
from smidgen.report.labels import (
    KINDS,
    cost_label,
    format_limit,
    format_measurement,
    format_score,
)
from smidgen.report.model import Kind, Point, Report
from smidgen.search.frontier import non_dominated

Spec = dict[str, Any]
SHAPES: Mapping[Kind, str] = {
    "compressed": "circle",
    "width baseline": "square",
    "other model": "triangle-up",
    "uncompressed": "diamond",
}
STEPS: Mapping[int, Sequence[Sequence[float]]] = {
    2: ((1,), (1, 1.5), (1, 1.25, 1.5, 1.75)),
    10: ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)),
}
LABEL_WIDTH = 90  # characters of a point's name in a tooltip


@dataclass(frozen=True)
class Theme:
    """Colours of a plot: text, grid, the kinds in order, the chosen point's ring, the budget line."""

    ink: str
    muted: str
    grid: str
    kinds: tuple[str, str, str, str]
    chosen: str
    budget: str
    background: str | None = None

    def config(self) -> Spec:
        axis = {
            "labelColor": self.muted,
            "titleColor": self.ink,
            "gridColor": self.grid,
            "domainColor": self.grid,
            "tickColor": self.grid,
            "titleFontWeight": 500,
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titlePadding": 8,
        }
        colours = {"frontier": self.muted, "chosen": self.chosen, "budget": self.budget}
        return {
            "background": self.background or "transparent",
            "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
            "view": {"stroke": None},
            "axis": axis,
            "legend": {"labelColor": self.ink, "symbolSize": 80, "labelFontSize": 12, "columnPadding": 14},
            "range": {"category": list(self.kinds)},
            "style": {name: {"color": colour} for name, colour in colours.items()},
        }


LIGHT = Theme(
    "#1c2330", "#5d6778", "#e3e7ee", ("#2f6fed", "#d9822b", "#2a9d74", "#6b7280"), "#c2255c", "#c92a2a"
)
DARK = Theme(
    "#e8ebf1", "#9aa4b5", "#2c3442", ("#7aa7ff", "#f0a558", "#5cc9a0", "#aab2c0"), "#ff7aa8", "#ff8787"
)


def frontier_chart(report: Report, cost: str, width: int | str = "container", height: int = 300) -> Spec:
    """Validation accuracy against `cost` of every point that has it: one Vega-Lite specification.

    Validation, because all points have it and the choice was made there; tooltips also show the test split.
    """
    alt = _altair()
    shown = [p for p in report.everything if p.measurement(cost)]
    base = alt.Chart(alt.Data(values=[_row(report, p, cost) for p in shown]))
    x, y = _axes(alt, report, shown, cost)
    layers = [
        _budget_line(alt, report, cost),
        _staircase(alt, report, cost, x, y),
        *_points(alt, base, x, y, cost),
    ]
    chart = alt.layer(*(layer for layer in layers if layer is not None)).properties(
        width=width, height=height
    )
    spec: Spec = chart.to_dict()
    spec["config"] = {}
    return spec


def _altair() -> Any:
    try:
        import altair
    except ImportError as missing:
        raise MissingExtra("drawing the frontier", "altair", "compress") from missing
    return altair


def _row(report: Report, point: Point, cost: str) -> Spec:
    """What a mark and its tooltip show. Names are data, never code: Vega draws them as text."""
    found = point.measurement(cost)
    assert found is not None
    score = point.validation
    return {
        "cost": found.value,
        "accuracy": score.mean,
        "low": score.mean - score.sd,
        "high": score.mean + score.sd,
        "kind": KINDS[point.kind],
        "frontier": point.on_frontier,
        "chosen": point.chosen,
        "name": point.label if len(point.label) <= LABEL_WIDTH else point.label[: LABEL_WIDTH - 1] + "…",
        "shown": f"{format_measurement(found)} ({found.how})",
        "validation": format_score(score),
        "test": format_score(point.test) if point.test else "not opened",
    }


def _axes(alt: Any, report: Report, shown: Sequence[Point], cost: str) -> tuple[Any, Spec]:
    """Channels for cost (logarithmic unless something is free) and accuracy, with room for all marks."""
    values = [report.cost(p, cost) for p in shown]
    values += [report.budget[cost]] if cost in report.budget else []
    hows = sorted({m.how for p in shown if (m := p.measurement(cost))})
    low, high = min(values), max(values)
    if low > 0:
        low, high = low / 1.25, high * 1.25
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        axis = alt.Axis(
            values=ticks(low, high, 2 if cost.endswith("_bytes") else 10), labelExpr=_tick_label(cost)
        )
    else:
        scale, axis = alt.Scale(zero=True), alt.Axis(labelExpr=_tick_label(cost))
    x = alt.X("cost:Q", title=f"{cost_label(cost)} ({', '.join(hows)})", scale=scale, axis=axis)
    scores = [p.validation for p in shown]
    bottom, top = min(s.mean - s.sd for s in scores), max(s.mean + s.sd for s in scores)
    margin = max(0.12 * (top - bottom), 0.1)
    title = f"{report.metric.capitalize()} (%, validation)"
    domain = alt.Scale(domain=[bottom - margin / 2, top + margin], nice=False)
    return x, {"title": title, "scale": domain, "axis": alt.Axis(tickCount=6)}


def ticks(low: float, high: float, base: int) -> list[float]:
    """At most 8 round numbers in [low, high]: powers of `base`, or steps between them if those are few."""
    exponents = range(math.floor(math.log(low, base)), math.ceil(math.log(high, base)) + 1)
    for steps in STEPS[base]:
        every = (step * float(base) ** exponent for exponent in exponents for step in steps)
        found = [tick for tick in every if low <= tick <= high]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / 8) or 1]


def _tick_label(cost: str) -> str:
    """A Vega expression that writes a tick like the tables do."""
    if not cost.endswith("_bytes"):
        unit = cost.rsplit("_", 1)[-1]
        return f"format(datum.value, '~g') + ' {unit}'" if unit.isalpha() else "format(datum.value, '~g')"
    kb = "datum.value / 1024"
    large = f"{kb} >= 1024 ? format({kb} / 1024, '~g') + ' MB' : format({kb}, '~g') + ' KB'"
    return f"datum.value >= 1024 ? ({large}) : format(datum.value, '~g') + ' B'"


def _budget_line(alt: Any, report: Report, cost: str) -> Any:
    if cost not in report.budget:
        return None
    limit = report.budget[cost]
    data = alt.Data(values=[{"limit": limit, "text": f"budget {format_limit(cost, limit)}"}])
    base = alt.Chart(data).encode(x=alt.X("limit:Q"))
    line = base.mark_rule(style="budget", strokeDash=[5, 4], strokeWidth=1.5)
    text = base.mark_text(style="budget", align="right", dx=-5, dy=8, fontSize=11).encode(
        y=alt.value(0), text="text:N"
    )
    return line + text


def _staircase(alt: Any, report: Report, cost: str, x: Any, y: Spec) -> Any:
    """The frontier in this cost alone, a step function: the best accuracy for at most that cost."""
    points = [p for p in report.points if p.measurement(cost)]
    if not points:
        return None
    costs = [report.cost(p, cost) for p in points]
    best = non_dominated([p.validation.mean for p in points], costs)
    rows = [{"cost": costs[i], "accuracy": points[i].validation.mean} for i in best]
    line = alt.Chart(alt.Data(values=rows)).mark_line(
        style="frontier", interpolate="step-after", strokeWidth=1.5, opacity=0.55
    )
    return line.encode(x=x, y=alt.Y("accuracy:Q", **y), order=alt.Order("cost:Q"))


def _points(alt: Any, base: Any, x: Any, y: Spec, cost: str) -> list[Any]:
    """Error bars, marks with tooltips, and a ring around the chosen point."""
    domain, legend = list(KINDS.values()), alt.Legend(title=None, orient="top", symbolOpacity=1)
    color = alt.Color("kind:N", scale=alt.Scale(domain=domain), legend=legend)
    shapes = alt.Scale(domain=domain, range=list(SHAPES.values()))
    titles = {
        "name": "Name",
        "kind": "Kind",
        "shown": cost_label(cost),
        "validation": "Validation",
        "test": "Test",
    }
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    mean = alt.Y("accuracy:Q", **y)
    dimmed = alt.condition("datum.frontier || datum.kind != 'Compressed'", alt.value(1), alt.value(0.4))
    bars = base.mark_rule(strokeWidth=1.5, opacity=0.6)
    marks = base.mark_point(filled=True, size=75)
    ring = base.mark_point(style="chosen", shape="circle", size=260, strokeWidth=2.5, filled=False)
    label = base.mark_text(style="chosen", dy=-18, fontSize=12, fontWeight=600, text="chosen")
    shape = alt.Shape("kind:N", scale=shapes, legend=legend)
    return [
        bars.encode(x=x, y=alt.Y("low:Q", **y), y2="high:Q", color=color),
        marks.encode(x=x, y=mean, color=color, shape=shape, opacity=dimmed, tooltip=tooltip),
        ring.transform_filter("datum.chosen").encode(x=x, y=mean, tooltip=tooltip),
        label.transform_filter("datum.chosen").encode(x=x, y=mean),
    ]
