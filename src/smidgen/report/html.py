"""One self-contained page: charts, tables and all scripts inline, nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from smidgen.errors import MissingExtra
from smidgen.files import write_whole
from smidgen.report.charts import Spec, frontier_chart
from smidgen.report.labels import cost_label
from smidgen.report.markup import Markup, script_json, tag
from smidgen.report.model import Report
from smidgen.report.sections import (
    candidates,
    dropped,
    environment,
    layers,
    legend,
    notes,
    recipe,
)
from smidgen.report.theme import DARK, LIGHT
from smidgen.report.verdict import header, verdict

# The browser itself refuses the network, whatever the page holds. Vega compiles expressions: unsafe-eval.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data:"
)
BUNDLE = "window.vegaEmbed = vegaEmbed;"
CHARTED = ("ram_bytes", "latency_ms")


def write_html(report: Report, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingExtra: altair or vl-convert is not installed.
    """
    write_whole(path, page(report))


def page(report: Report) -> str:
    """The document as text."""
    costs = [name for name in (report.size_axis, *CHARTED) if any(p.measurement(name) for p in report.points)]
    makers = (
        verdict,
        lambda _: _charts(costs),
        candidates,
        layers,
        recipe,
        notes,
        dropped,
        environment,
        legend,
    )
    charts = [frontier_chart(report, cost, height=340 if n == 0 else 280) for n, cost in enumerate(costs)]
    title = f"{report.task} on {report.target}: smidgen report"
    return assembled(title, header(report), [make(report) for make in makers], charts)


def assembled(title: str, heading: Markup, sections: Sequence[Markup | None], charts: list[Spec]) -> str:
    """A whole page; `charts` fill the elements with the class `chart` and their number in `data-chart`.

    Raises MissingExtra if there are charts and vl-convert is not installed.
    """
    head = (
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        Markup('<link rel="icon" href="data:,">'),
        tag("title", title),
        tag("style", Markup(_resource("page.css"))),
    )
    body = (heading, tag("main", *sections), *_scripts(charts))
    return "<!doctype html>\n" + tag("html", tag("head", *head), tag("body", *body), lang="en")


def _charts(costs: list[str]) -> Markup | None:
    if not costs:
        return None
    cards = [
        tag(
            "figure",
            tag(
                "figcaption", f"Accuracy against {cost_label(cost).lower() if cost != 'ram_bytes' else 'RAM'}"
            ),
            tag("div", class_="chart", role="img", data_chart=number),
            class_="card wide" if number == 0 else "card",
        )
        for number, cost in enumerate(costs)
    ]
    hint = (
        "Bars are ± one standard deviation over seeds; the line is the best accuracy for at most that cost."
    )
    return tag(
        "section", tag("h2", "Frontier"), tag("p", hint, class_="hint"), tag("div", *cards, class_="charts")
    )


def _scripts(charts: list[Spec]) -> tuple[Markup, ...]:
    if not charts:
        return (tag("script", Markup(_resource("page.js"))),)
    data = {"charts": charts, "themes": {"light": LIGHT.config(), "dark": DARK.config()}}
    return (
        tag("script", Markup(script_json(data)), type="application/json", id="data"),
        tag("script", Markup(_vega()), type="module"),
        tag("script", Markup(_resource("page.js")), type="module"),
    )


@cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script."""
    try:
        import vl_convert
    except ImportError as missing:
        raise MissingExtra("the report's charts", "vl-convert-python", "compress") from missing
    bundle = str(vl_convert.javascript_bundle(BUNDLE))
    return bundle.replace("</script", "<\\/script")


def _resource(name: str) -> str:
    return files("smidgen.report").joinpath(name).read_text(encoding="utf-8")
