"""The sections below the verdict: each takes the report and returns its part, or None with nothing to say."""

from __future__ import annotations

from smidgen.measurement import Measurement
from smidgen.report.labels import (
    HOW,
    KINDS,
    cost_label,
    count,
    format_measurement,
    format_score,
    format_value,
    remark,
    signed_in,
)
from smidgen.report.markup import Markup, join, tag
from smidgen.report.model import Layer, Point, Report, Score
from smidgen.report.tables import Cell, how, table


def candidates(report: Report) -> Markup:
    """Every point, sortable."""
    costs = report.measured_costs()
    ordered = sorted(report.points, key=report.cost)
    labels = (f"{cost_label(name)}, {remark(report.features, name)}".removesuffix(", ") for name in costs)
    heads = ["Network", "Kind", "Validation", "Test", "Change", *labels]
    rows = [(_class_of(p), _point_cells(p, costs)) for p in (report.uncompressed, *ordered)]
    hint = "Change is the paired loss or gain on validation against the uncompressed network."
    return tag(
        "section",
        tag("h2", "Candidates and baselines"),
        tag("p", f"{hint} Click a column to sort.", class_="hint"),
        table(heads, rows, name="candidates"),
    )


def _class_of(point: Point) -> str:
    return "chosen" if point.chosen else "frontier" if point.on_frontier else ""


def _point_cells(point: Point, costs: tuple[str, ...]) -> list[Cell]:
    marks = [tag("span", "chosen", class_="badge strong")] if point.chosen else []
    marks += [tag("span", "frontier", class_="badge")] if point.on_frontier else []
    title = "\n".join(text for text in (point.artifact, *point.notes) if text) or None
    name = tag("span", point.label, class_="name", title=title)
    drop = point.drop
    change = None if drop is None else drop.points if drop.better == "lower" else -drop.points
    return [
        Cell(join(name, *marks), point.label),
        Cell(KINDS[point.kind], KINDS[point.kind]),
        _score_cell(point.validation),
        _score_cell(point.test),
        Cell("–" if change is None or drop is None else signed_in(change, drop.unit), change, numeric=True),
        *(_cost_cell(point.measurement(name)) for name in costs),
    ]


def _score_cell(score: Score | None) -> Cell:
    if score is None:
        return Cell("–", None, numeric=True)
    return Cell(join(format_score(score), how("measured")), score.mean, numeric=True)


def _cost_cell(found: Measurement | None) -> Cell:
    if found is None:
        return Cell("–", None, numeric=True)
    return Cell(join(format_measurement(found), how(found.how)), found.value, numeric=True)


def layers(report: Report) -> Markup | None:
    """Where the bytes, the work and the time of the chosen artifact go."""
    if not report.layers:
        return None
    heads = [
        "Layer",
        "Operator",
        "Output",
        "Weights",
        "Format",
        "Bits a weight",
        "Float32",
        "Packed",
        "In the file",
        "MACs",
    ]
    largest = max((layer.packed_bytes for layer in report.layers), default=0)
    most_macs = max((layer.macs for layer in report.layers), default=0)
    timed = any(layer.time_share is not None for layer in report.layers)
    heads += ["Time"] if timed else []
    rows = [("", _layer_cells(layer, largest, most_macs, timed)) for layer in report.layers]
    hint = "Bytes of the parameters: as float32, bit-packed as devices keep them, entropy-coded in the file."
    return tag(
        "section",
        tag("h2", "Layers of the chosen network"),
        tag("p", hint, class_="hint"),
        table(heads, rows, name="layers"),
    )


def _layer_cells(layer: Layer, largest: int, most_macs: int, timed: bool) -> list[Cell]:
    coded = layer.coded_bytes
    return [
        Cell(tag("span", layer.name, class_="name"), layer.name),
        Cell(layer.op, layer.op),
        Cell(_dims(layer.shape), None),
        Cell(_dims(layer.weight_shape), None),
        Cell(layer.format or "–", layer.format),
        Cell("–" if layer.bits is None else f"{layer.bits:.3g}", layer.bits, numeric=True),
        _bytes_cell(layer.raw_bytes),
        _bytes_cell(layer.packed_bytes, largest),
        Cell("–", None, numeric=True) if coded is None else _bytes_cell(coded),
        Cell(
            count(layer.macs) if layer.macs else "–",
            layer.macs,
            numeric=True,
            share=_share(layer.macs, most_macs),
        ),
        *([_time_cell(layer)] if timed else []),
    ]


def _time_cell(layer: Layer) -> Cell:
    if layer.time_share is None:
        return Cell("–", None, numeric=True)
    text = join(f"{layer.time_share:.0%}", how(layer.time_how))
    return Cell(text, layer.time_share, numeric=True, share=layer.time_share)


def _bytes_cell(n: int, largest: int = 0) -> Cell:
    return Cell(format_value(n, "bytes") if n else "–", n, numeric=True, share=_share(n, largest))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _dims(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "–"


def recipe(report: Report) -> Markup | None:
    """What to type to get the chosen network again."""
    chosen, command = report.chosen, report.environment.command
    blocks = [("recipe.yaml", chosen.recipe_yaml)] if chosen and chosen.recipe_yaml else []
    blocks += [("Command of this run", command)] if command else []
    if not blocks:
        return None
    return tag("section", tag("h2", "Reproduce"), *(code_block(name, text) for name, text in blocks))


def code_block(name: str, text: str) -> Markup:
    """Text to copy, under a name."""
    button = tag("button", "Copy", type="button", class_="copy")
    return tag(
        "div",
        tag("div", tag("span", name), button, class_="bar"),
        tag("pre", tag("code", text.rstrip())),
        class_="code",
    )


def notes(report: Report) -> Markup | None:
    """Warnings first."""
    if not report.notes:
        return None
    items = [
        tag(
            "li",
            note.text,
            tag("span", f" {note.remedy}.", class_="remedy") if note.remedy else None,
            class_=note.level,
        )
        for note in sorted(report.notes, key=lambda note: note.level != "warning")
    ]
    return tag("section", tag("h2", "Notes"), tag("ul", *items, class_="notes"))


def dropped(report: Report) -> Markup | None:
    """Candidates that became no point, and why."""
    if not report.dropped:
        return None
    rows = [
        (
            "",
            [
                Cell(tag("span", d.label, class_="name"), d.label),
                Cell(d.status, d.status),
                Cell(d.reason, d.reason),
            ],
        )
        for d in report.dropped
    ]
    inside = table(["Candidate", "Status", "Reason"], rows, name="dropped")
    title = tag("summary", tag("h2", f"Rejected and failed ({len(rows)})"))
    return tag("section", tag("details", title, inside))


def environment(report: Report) -> Markup:
    """Machine, seeds, data and versions."""
    e = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in sorted(e.versions.items()))
    facts = {
        "Date": e.created,
        "Processor": e.cpu,
        "Platform": e.platform,
        "Seeds": ", ".join(map(str, e.seeds)),
        "Data (SHA-256)": e.data_digest,
        "Versions": versions,
    }
    pairs = [join(tag("dt", name), tag("dd", text)) for name, text in facts.items() if text]
    return tag("section", tag("h2", "Environment"), tag("dl", *pairs))


def legend(report: Report) -> Markup:
    """What the tags next to the numbers mean."""
    meanings = [tag("li", how(name), " ", text) for name, text in HOW.items()]
    meanings += [tag("li", tag("b", cost_label(n)), f" from {text}") for n, text in report.sources.items()]
    return tag("section", tag("h2", "How the numbers were obtained"), tag("ul", *meanings, class_="legend"))
