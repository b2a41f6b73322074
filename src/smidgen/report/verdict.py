"""The top of the page: the name of the run, and what was achieved in words and in numbers."""

from __future__ import annotations

from smidgen.report.labels import (
    ARTIFACT_CLASSES,
    cost_label,
    format_limit,
    format_score,
    format_value,
    metric_label,
    remark,
)
from smidgen.report.markup import Markup, join, tag
from smidgen.report.model import Point, Report
from smidgen.report.summary import headline, sentences
from smidgen.report.tables import how


def header(report: Report) -> Markup:
    """The name of the run."""
    about = [text for text in (report.description, report.target_description) if text]
    return tag(
        "header",
        tag("p", "smidgen", class_="brand"),
        tag("h1", tag("b", report.task), " on ", tag("b", report.target)),
        tag("p", " ".join(about), class_="hint") if about else None,
        tag("p", tag("b", "About the data: "), report.caveats, class_="hint") if report.caveats else None,
    )


def verdict(report: Report) -> Markup:
    """What was achieved, in words and in four numbers."""
    first = headline(report)
    rest = [tag("li", s.text, class_=f"tone-{s.tone}") for s in sentences(report)]
    badge = tag(
        "span",
        report.artifact_class.replace("_", " "),
        class_="badge",
        title=ARTIFACT_CLASSES[report.artifact_class],
    )
    return tag(
        "section",
        tag("p", first.text, class_=f"headline tone-{first.tone}"),
        _tiles(report),
        tag("ul", *rest, class_="sentences"),
        tag("p", "Artifact class: ", badge, " ", ARTIFACT_CLASSES[report.artifact_class], ".", class_="hint"),
        class_="verdict",
    )


def _tiles(report: Report) -> Markup | None:
    chosen = report.chosen
    if chosen is None:
        return None
    costs = [tile for name in report.measured_costs() if (tile := _cost_tile(report, chosen, name))]
    return tag("div", _accuracy_tile(report, chosen), *costs[:5], class_="tiles")


def _accuracy_tile(report: Report, chosen: Point) -> Markup:
    test = chosen.test is not None
    score = chosen.test or chosen.validation
    before = report.uncompressed.test if test else report.uncompressed.validation
    return tag(
        "div",
        tag("h3", f"{metric_label(report.metric)}, {'test' if test else 'validation'}"),
        tag("p", format_score(score), class_="number"),
        how("measured"),
        tag("p", f"uncompressed {format_score(before)}", class_="before") if before else None,
        class_="tile",
    )


def _cost_tile(report: Report, chosen: Point, name: str) -> Markup | None:
    found, before, limit = (
        chosen.measurement(name),
        report.uncompressed.measurement(name),
        report.budget.get(name),
    )
    if found is None:
        return None
    old = f"uncompressed {format_value(before.value, before.unit)}" if before else None
    return tag(
        "div",
        tag("h3", cost_label(name)),
        tag("p", format_value(found.value, found.unit), class_="number"),
        how(found.how),
        tag("p", old, class_="before") if old else None,
        tag("p", left_out, class_="before") if (left_out := remark(report.features, name)) else None,
        _meter(found.value / limit, f"budget {format_limit(name, limit)}") if limit else None,
        class_="tile",
    )


def _meter(share: float, text: str) -> Markup:
    """How much of a budget is used."""
    fill = tag("i", style=f"width:{min(share, 1):.1%}", class_="over" if share > 1 else None)
    return join(tag("div", fill, class_="meter"), tag("p", f"{share:.0%} of {text}", class_="before"))
