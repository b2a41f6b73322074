"""What a comparison of two networks found: as a document, in words, and as one self-contained page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen.data.metrics import Metric
from smidgen.files import write_whole
from smidgen.probe.layers import THRESHOLD_DB, LayerMatch, Matches
from smidgen.report.charts import Spec
from smidgen.report.html import assembled
from smidgen.report.labels import metric_label
from smidgen.report.markup import Markup, join, tag
from smidgen.report.sections import code_block
from smidgen.report.tables import Cell, table
from smidgen.search.fixes import Fix

ROW_PIXELS = 20
SHOWN_DB = 80.0  # bars end here: what is exact has no ratio


@dataclass(frozen=True)
class Comparison:
    """B against A. `scores`: of A and B by `metric` (None without targets); `tried`: fixes simulated."""

    names: tuple[str, str]
    samples: int
    matches: Matches
    metric: Metric | None = None
    scores: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    tried: int = 0
    interrupted: bool = False


def sentences(found: Comparison) -> list[str]:
    """What was found, the most important first."""
    matches = found.matches
    lines = [_divergence(matches)]
    steepest = matches.steepest
    if steepest is not None and not matches.exact:
        lines.append(f"Steepest fall: {format_fall(steepest)} at {steepest.layer} ({steepest.op})")
    lines.append(f"Output: {format_db(matches.output_db)} signal to noise on {found.samples:,} samples")
    if found.metric and found.scores:
        before, after = (_shown(score, found.metric) for score in found.scores)
        lines.append(f"{metric_label(found.metric.name)}: {before} in A, {after} in B")
    return lines


def _shown(score: float, metric: Metric) -> str:
    return f"{score:.2f}%" if metric.unit == "%" else f"{score:.4g}"


def _divergence(matches: Matches) -> str:
    layer = matches.divergent
    if matches.exact:
        if layer is None or layer.first is None:
            return f"All {len(matches.layers)} values agree bit for bit"
        first, at = layer.first, ", ".join(map(str, layer.first.index))
        where = f"sample {first.sample}, element [{at}]: {first.a} in A, {first.b} in B"
        share = f"{layer.differing:,} of {layer.compared:,} differ"
        return f"First divergent layer: {layer.layer} ({layer.op}); {where}; {share}"
    if layer is None:
        return f"No layer falls below {THRESHOLD_DB:g} dB"
    return (
        f"First layer below {THRESHOLD_DB:g} dB: {layer.layer} ({layer.op}) with {format_db(layer.sqnr_db)}"
    )


def format_db(ratio: float) -> str:
    """`31.4 dB`; `exact` where there is no noise."""
    if math.isnan(ratio):
        return "–"
    return f"{ratio:.1f} dB" if math.isfinite(ratio) else "exact" if ratio > 0 else "no signal"


def format_fall(layer: LayerMatch) -> str:
    """What a layer loses against the worst of its inputs; nothing where those are all."""
    return f"{layer.drop_db:.1f} dB" if math.isfinite(layer.drop_db) else "from exact"


def format_gain(fix: Fix) -> str:
    return "exact" if math.isinf(fix.gain_db) else f"{fix.gain_db:+.1f} dB"


def format_points(found: Comparison, fix: Fix) -> str:
    """The change of the score, in points or in the targets' unit."""
    if fix.gain_points is None or found.metric is None:
        return "–"
    unit = " points" if found.metric.unit == "%" else ""
    return f"{found.metric.shown(fix.gain_points):+.2f}{unit}"


def write_comparison(found: Comparison, path: Path) -> None:
    """Write the page, whole or not at all. Raises MissingExtra if altair or vl-convert is not installed."""
    write_whole(path, page(found))


def page(found: Comparison) -> str:
    """The document as text."""
    head = tag(
        "header",
        tag("p", "smidgen", class_="brand"),
        tag("h1", "Where did the accuracy go?"),
        tag("p", "A: ", tag("b", found.names[0]), " · B: ", tag("b", found.names[1]), class_="hint"),
    )
    first, *rest = sentences(found)
    verdict = tag(
        "section",
        tag("p", first, class_="headline"),
        tag("ul", *(tag("li", line) for line in rest), class_="sentences"),
        class_="verdict",
    )
    sections = (verdict, _bars(), _fixes(found), _layers(found), _unaligned(found), _notes(found))
    return assembled(f"{found.names[1]} against {found.names[0]}", head, sections, [ratio_chart(found)])


def _bars() -> Markup:
    hint = (
        "Signal to noise of every layer's output against A's. End to end: both networks run by themselves. "
        "Alone: the layer of B gets A's true inputs, so what is missing is its own doing."
    )
    figure = tag(
        "figure",
        tag("figcaption", "Layer by layer"),
        tag("div", class_="chart", role="img", data_chart=0),
        class_="card wide",
    )
    return tag(
        "section",
        tag("h2", "Signal to noise"),
        tag("p", hint, class_="hint"),
        tag("div", figure, class_="charts"),
    )


def ratio_chart(found: Comparison) -> Spec:
    """Bars of both ratios a layer, in the order of computing: one Vega-Lite specification."""
    rows = [row for layer in found.matches.layers for row in _chart_rows(layer)]
    names = list(dict.fromkeys(row["layer"] for row in rows))
    kinds = ["End to end", "Alone"]
    x = {"field": "shown", "type": "quantitative", "title": "dB", "scale": {"domainMin": 0}}
    y = {"field": "layer", "type": "nominal", "sort": names, "title": None, "axis": {"labelLimit": 260}}
    colour = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": kinds},
        "legend": {"title": None, "orient": "top"},
    }
    tips = [{"field": f, "type": "nominal", "title": t} for f, t in (("layer", "Layer"), ("kind", "Run"))]
    tips.append({"field": "text", "type": "nominal", "title": "Signal to noise"})
    bars: dict[str, Any] = {
        "mark": {"type": "bar"},
        "encoding": {
            "x": x,
            "y": y,
            "yOffset": {"field": "kind", "sort": kinds},
            "color": colour,
            "tooltip": tips,
        },
    }
    limit: dict[str, Any] = {
        "data": {"values": [{"limit": THRESHOLD_DB}]},
        "mark": {"type": "rule", "style": "budget", "strokeDash": [5, 4]},
        "encoding": {"x": {"field": "limit", "type": "quantitative"}},
    }
    return {
        "data": {"values": rows},
        "width": "container",
        "height": max(2 * ROW_PIXELS * len(names), 120),
        "layer": [bars] if found.matches.exact else [bars, limit],
        "config": {},
    }


def _chart_rows(layer: LayerMatch) -> list[dict[str, Any]]:
    ratios = {"End to end": layer.sqnr_db, "Alone": layer.alone_db}
    return [
        {"layer": layer.title, "kind": kind, "shown": min(max(db, 0.0), SHOWN_DB), "text": format_db(db)}
        for kind, db in ratios.items()
        if not math.isnan(db)
    ]


def _fixes(found: Comparison) -> Markup | None:
    if not found.tried:
        return None
    hint = (
        f"{found.tried} changes of the recipe were simulated on the samples, one at a time: applied, "
        "lowered, run. Gains of several do not add up: apply one, then compare again."
    )
    if not found.fixes:
        return tag("section", tag("h2", "Fixes"), tag("p", hint + " None brings anything.", class_="hint"))
    heads = ["", "Fix", "Output", "Score", "Weights", "Into the recipe"]
    rows = [("", _fix_cells(found, number, fix)) for number, fix in enumerate(found.fixes, start=1)]
    best = code_block("recipe.yaml with the first fix", found.fixes[0].recipe.to_yaml())
    return tag(
        "section", tag("h2", "Fixes"), tag("p", hint, class_="hint"), table(heads, rows, name="fixes"), best
    )


def _fix_cells(found: Comparison, number: int, fix: Fix) -> list[Cell]:
    points = fix.gain_points
    return [
        Cell(str(number), number, numeric=True),
        Cell(tag("span", fix.what, class_="name"), fix.what),
        Cell(format_gain(fix), fix.gain_db, numeric=True),
        Cell(format_points(found, fix), points, numeric=True),
        Cell(f"{fix.more_bytes:+,} B", fix.more_bytes, numeric=True),
        Cell(join(tag("code", fix.line), tag("p", fix.place, class_="before")), fix.line),
    ]


def _layers(found: Comparison) -> Markup:
    heads = [
        "Layer",
        "Operator",
        "End to end",
        "Alone",
        "Fall",
        "Worst channel",
        "Largest error",
        "Differing",
    ]
    rows = [
        ("chosen" if layer is found.matches.divergent else "", _cells(layer))
        for layer in found.matches.layers
    ]
    return tag("section", tag("h2", "Layers"), table(heads, rows, name="layers"))


def _cells(layer: LayerMatch) -> list[Cell]:
    differing = "–" if layer.differing is None else f"{layer.differing:,}"
    return [
        Cell(tag("span", layer.title, class_="name"), layer.title),
        Cell(layer.op, layer.op),
        _db_cell(layer.sqnr_db),
        _db_cell(layer.alone_db),
        Cell(format_fall(layer), layer.drop_db, numeric=True),
        Cell(str(layer.worst_channel), layer.worst_channel, numeric=True),
        Cell(f"{layer.largest_error:.3g}", layer.largest_error, numeric=True),
        Cell(differing, layer.differing, numeric=True),
    ]


def _db_cell(ratio: float) -> Cell:
    return Cell(format_db(ratio), None if math.isnan(ratio) else ratio, numeric=True)


def _unaligned(found: Comparison) -> Markup | None:
    if not found.matches.unaligned:
        return None
    rows = [
        ("", [Cell(u.where, u.where), Cell(u.layer, u.layer), Cell(u.reason, u.reason)])
        for u in found.matches.unaligned
    ]
    return tag("section", tag("h2", "Not compared"), table(["In", "Layer", "Why"], rows, name="unaligned"))


def _notes(found: Comparison) -> Markup | None:
    if not found.notes:
        return None
    return tag("section", tag("h2", "Notes"), tag("ul", *(tag("li", n) for n in found.notes), class_="notes"))
