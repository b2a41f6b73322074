"""Frontier plots as Vega-Lite: accuracy against one cost, budget, error bars, baselines in other shapes.

Colours are left to the theme (`theme.py`), so that one specification serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smidgen.errors import MissingExtra
from smidgen.report.axes import accuracy_axis, cost_axis, lowest_drawn
from smidgen.report.labels import (
    KINDS,
    cost_label,
    format_limit,
    format_measurement,
    format_score,
    plural,
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
LABEL_WIDTH = 90  # characters of a point's name in a tooltip


def frontier_chart(report: Report, cost: str, width: int | str = "container", height: int = 300) -> Spec:
    """Validation accuracy against `cost` of every point that has it: one Vega-Lite specification.

    Validation, because all points have it and the choice was made there; tooltips also show the test split.
    """
    alt = _altair()
    measured = [p for p in report.everything if p.measurement(cost)]
    shown = [p for p in measured if p.validation.gain >= lowest_drawn(report)]
    base = alt.Chart(alt.Data(values=[_row(report, p, cost) for p in shown]))
    x, y = cost_axis(alt, report, shown, cost), accuracy_axis(alt, report, shown)
    layers = [
        _budget_line(alt, report, cost),
        _staircase(alt, report, shown, cost, x, y),
        *_points(alt, base, x, y, cost),
        _omitted(alt, len(measured) - len(shown), height),
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


def _staircase(alt: Any, report: Report, shown: Sequence[Point], cost: str, x: Any, y: Spec) -> Any:
    """The frontier in this cost alone, a step function: the best accuracy for at most that cost."""
    points = [p for p in shown if p.kind != "uncompressed"]
    if not points:
        return None
    costs = [report.cost(p, cost) for p in points]
    best = non_dominated([p.validation.gain for p in points], costs)
    rows = [{"cost": costs[i], "accuracy": points[i].validation.mean} for i in best]
    line = alt.Chart(alt.Data(values=rows)).mark_line(
        style="frontier", interpolate="step-after", strokeWidth=1.5, opacity=0.55
    )
    return line.encode(x=x, y=alt.Y("accuracy:Q", **y), order=alt.Order("cost:Q"))


def _omitted(alt: Any, number: int, height: int) -> Any:
    """Says how many points lie too far below to be drawn."""
    if not number:
        return None
    text = f"{plural(number, 'point')} far below not drawn, see the table"
    note = alt.Chart(alt.Data(values=[{}])).mark_text(
        style="frontier", align="left", dx=6, dy=-8, fontSize=11, text=text
    )
    return note.encode(x=alt.value(0), y=alt.value(height))


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
    dimmed = alt.condition(
        "datum.frontier || datum.chosen || datum.kind != 'Compressed'", alt.value(1), alt.value(0.4)
    )
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
