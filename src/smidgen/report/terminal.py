"""The report in a terminal. User strings are `Text`, so that brackets in a name are no markup."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import rich.measure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smidgen.measurement import How, Measurement
from smidgen.report.labels import (
    cost_label,
    count,
    format_score,
    format_value,
    remark,
)
from smidgen.report.model import Layer, Point, Report
from smidgen.report.summary import headline, sentences

MOST_POINTS = 10
UNLIMITED = 10_000
_STEP = re.compile(r"\b[a-z]+\.([a-z_]+)(?:\(\w+=([^,()]+)[^()]*\))?")
TONES = {"good": "green", "neutral": "", "bad": "red"}
MARKS = {"good": "✓", "neutral": "·", "bad": "!"}
HOW_STYLES = {"measured": "green", "emulated": "blue", "simulated": "magenta", "modelled": "yellow"}


def print_report(report: Report, console: Console | None = None, layers: bool = True) -> None:
    """Summary, frontier, layers of the chosen point, notes, and how much was dropped."""
    out = console or Console()
    out.print(summary(report))
    out.print(_fitting(report, out))
    if layers and report.layers:
        out.print(layers_table(report))
    for note in report.notes:
        remedy = f" {note.remedy}." if note.remedy else ""
        out.print(
            Text(f"{note.level}: {note.text}.{remedy}", style="yellow" if note.level == "warning" else "dim")
        )


def summary(report: Report) -> Text:
    """The headline and what follows it, one statement a line."""
    first = headline(report)
    text = Text(first.text, style=f"bold {TONES[first.tone]}".strip())
    for sentence in sentences(report):
        text.append(f"\n{MARKS[sentence.tone]} {sentence.text}", style=TONES[sentence.tone])
    return text


def _fitting(report: Report, console: Console) -> Table:
    """The frontier with as many of its costs as the terminal has room for: a cut number would mislead."""
    costs, unlimited = report.measured_costs(), console.options.update(width=UNLIMITED)
    while True:
        table = frontier_table(report, costs=costs)
        narrowest = rich.measure.Measurement.get(console, unlimited, table).minimum
        if narrowest <= console.width or len(costs) == 1:
            return table
        costs = costs[:-1]


def frontier_table(report: Report, everything: bool = False, costs: Sequence[str] = ()) -> Table:
    """Points of the frontier, the chosen one and the uncompressed network; or all points. Smallest first.

    A long frontier is thinned out: see `highlights`. `costs` are the columns (default: all measured).
    """
    costs = tuple(costs or report.measured_costs())
    listed = report.points if everything else highlights(report)
    total = sum(p.on_frontier for p in report.points)
    shown = sum(p.on_frontier for p in listed)
    some = "" if shown == total else f", {shown} of {total} points of the frontier"
    table = _table(f"{report.task} on {report.target}{some}")
    table.add_column("")
    table.add_column("Network", overflow="fold", min_width=20)
    for name in ("Validation", "Test"):
        table.add_column(name, justify="right", no_wrap=True)
    hows = {name: {m.how for p in report.everything if (m := p.measurement(name))} for name in costs}
    for name in costs:
        table.add_column(_cost_head(report, name, hows[name]), justify="right", no_wrap=True)
    mixed = {name for name in costs if len(hows[name]) > 1}
    for point in [*sorted(listed, key=report.cost), report.uncompressed]:
        table.add_row(*_cells(point, costs, mixed), style="bold" if point.chosen else "")
    return table


def _cost_head(report: Report, name: str, hows: set[How]) -> Text:
    """What it is; how it was obtained, if that holds for all; what it leaves out, a word a line."""
    lines: list[str | Text] = [cost_label(name), *(_how(how) for how in hows if len(hows) == 1)]
    lines += [Text(word, style="not bold") for word in remark(report.features, name).split()]
    return Text("\n").join(Text.assemble(line) for line in lines)


def highlights(report: Report, most: int = MOST_POINTS) -> list[Point]:
    """The chosen point and the frontier; of a frontier of more than `most` points, those on its edge of size
    and accuracy alone, and of these the nearest to the chosen one in size.
    """
    shown = [p for p in report.points if p.on_frontier or p.chosen]
    if len(shown) <= most:
        return shown
    edge, best = [], -math.inf
    for point in sorted(shown, key=lambda p: (report.cost(p), -p.validation.gain)):
        if point.validation.gain > best or point.chosen:
            edge.append(point)
        best = max(best, point.validation.gain)
    middle = report.cost(report.chosen) if report.chosen else 0.0
    return sorted(edge, key=lambda p: (not p.chosen, abs(report.cost(p) - middle)))[:most]


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def _cells(point: Point, costs: Sequence[str], mixed: set[str]) -> list[Text]:
    mark = "▶" if point.chosen else "•" if point.on_frontier else ""
    test = "–" if point.test is None else format_score(point.test)
    texts = [mark, short_label(point.label), format_score(point.validation), test]
    return [*map(Text, texts), *(_cost(point.measurement(name), name in mixed) for name in costs)]


def short_label(label: str) -> str:
    """A recipe in few words: `prune.channels(ratio=0.3, scope=global) → tune.fit` -> `channels 0.3 → fit`.

    Only the first setting of a step is kept; the HTML page and recipe.yaml have them all.
    """
    return _STEP.sub(lambda step: f"{step[1]} {step[2]}" if step[2] else step[1], label)


def _cost(found: Measurement | None, tagged: bool) -> Text:
    """The number; if a column mixes them, how it was obtained on the line below."""
    if found is None:
        return Text("–")
    value = format_value(found.value, found.unit)
    return Text.assemble(value, "\n", _how(found.how)) if tagged else Text(value)


def _how(name: How) -> Text:
    return Text(name, style=f"not bold {HOW_STYLES[name]}")


def layers_table(report: Report) -> Table:
    """The layers of the chosen network; times only where they were measured."""
    hows = sorted({layer.time_how for layer in report.layers if layer.time_share is not None})
    table = _table("Layers of the chosen network")
    table.add_column("Layer", overflow="fold", min_width=12)
    table.add_column("Operator", no_wrap=True)
    table.add_column("Format", overflow="fold")
    for name in ("Bits per\nweight", "Packed", "In file", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    if hows:
        table.add_column("\n".join(["Time", *hows]), justify="right", no_wrap=True)
    for layer in report.layers:
        times = [_percent(layer.time_share)] if hows else []
        table.add_row(*map(Text, [*_layer_texts(layer), *times]))
    return table


def _layer_texts(layer: Layer) -> list[str]:
    sizes = (layer.packed_bytes, layer.coded_bytes or 0)
    return [
        layer.name,
        layer.op,
        layer.format or "–",
        "–" if layer.bits is None else f"{layer.bits:.3g}",
        *(format_value(n, "byte") if n else "–" for n in sizes),
        count(layer.macs) if layer.macs else "–",
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def dropped_table(report: Report) -> Table:
    """Candidates that became no point, and why."""
    table = _table("Rejected and failed")
    for name in ("Candidate", "Status", "Reason"):
        table.add_column(name, overflow="fold")
    for entry in report.dropped:
        table.add_row(Text(entry.label), Text(entry.status), Text(entry.reason))
    return table
