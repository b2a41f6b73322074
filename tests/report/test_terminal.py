"""Terminal tables show the numbers, and names as they are."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from smidgen.measurement import Measurement
from smidgen.report.model import Report
from smidgen.report.terminal import (
    dropped_table,
    frontier_table,
    highlights,
    layers_table,
    print_report,
    short_label,
)
from tests.report.reports import POINTS, watch


def printed(thing: object, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    if isinstance(thing, Report):
        print_report(thing, console)
    else:
        console.print(thing)
    return console.file.getvalue()


def test_the_whole_report_is_printed():
    text = printed(watch())
    for part in ("9.46× smaller flash", "▶", "42.1 KB", "sparse(affine4)", "62%", "warning: Layer attention"):
        assert part in text


def test_only_the_frontier_is_shown_smallest_first():
    text = printed(frontier_table(watch()))
    order = [text.index(size) for size in ("11.3 KB", "12.6 KB", "14.6 KB", "42.1 KB", "138 KB")]
    assert order == sorted(order)
    assert "23.4 KB" not in text  # measured, but not on the frontier


def test_everything_is_shown_on_demand():
    assert "linear" in printed(frontier_table(watch(), everything=True))


def test_columns_say_how_their_numbers_were_obtained():
    heading = printed(frontier_table(watch())).split("─")[0]
    assert heading.split()[-3:] == ["measured", "emulated", "modelled"]


def test_mixed_columns_say_it_for_each_number():
    mixed = (Measurement("flash_bytes", 5000, "byte", "modelled"),)
    report = watch().model_copy(
        update={"points": (POINTS[0].model_copy(update={"measurements": mixed}), POINTS[1])}
    )
    text = printed(frontier_table(report))
    assert "modelled" in text.split("─")[-1]
    assert "measured" in text.split("─")[-1]


def test_brackets_in_names_are_no_markup():
    name = "[red]evil[/red] [link=file:///x]"
    report = watch().model_copy(update={"points": (POINTS[1].model_copy(update={"label": name}),)})
    assert name in printed(frontier_table(report))


def test_reasons_of_dropped_candidates_are_listed():
    text = printed(dropped_table(watch()))
    assert "RAM is 70 KB, 48 KB are allowed" in text
    assert "failed" in text


def test_narrow_terminals_keep_every_number():
    text = printed(watch(), width=80)
    numbers = (
        "90.8 ± 0.3%",
        "89.5 ± 0.4%",
        "14.6 KB",
        "10.9 KB",
        "8.4 ms",
        "2.42 KB",
        "2.06 KB",
        "240 k",
        "62%",
    )
    assert not [number for number in numbers if number not in text]


def test_times_that_were_not_taken_make_no_column():
    layers = tuple(layer.model_copy(update={"time_share": None}) for layer in watch().layers)
    assert "Time" not in printed(layers_table(watch().model_copy(update={"layers": layers})))


def test_columns_that_do_not_fit_are_left_out_whole():
    slow = Measurement("throughput", 1234567.0, "1/s", "measured")
    report = watch()
    points = tuple(p.model_copy(update={"measurements": (*p.measurements, slow)}) for p in report.points)
    report = report.model_copy(update={"points": points})
    assert "1,234,567/s" in printed(report, width=160)
    narrow = printed(report, width=80)
    assert "Throughput" not in narrow
    assert "8.4 ms" in narrow


def test_recipes_are_shortened_to_what_tells_them_apart():
    label = "prune.channels(ratio=0.3, scope=global) → tune.fit → quantize.affine(bits=2)"
    assert short_label(label) == "channels 0.3 → fit → affine 2"
    assert short_label("width-0.25: quantize.affine") == "width-0.25: affine"


def test_a_long_frontier_is_thinned_out_around_the_chosen_point():
    template = next(p for p in POINTS if p.chosen)
    size = template.measurement("flash_bytes")
    points = tuple(
        template.model_copy(
            update={
                "id": str(i),
                "chosen": i == 20,
                "on_frontier": True,
                "validation": template.validation.model_copy(update={"mean": 60.0 + i}),
                "measurements": (replace(size, value=1000.0 * (i + 1)),),
            }
        )
        for i in range(40)
    )
    report = watch().model_copy(update={"points": points})
    kept = {int(p.id) for p in highlights(report, most=5)}
    assert kept == {18, 19, 20, 21, 22}
    assert "10 of 40 points of the frontier" in printed(frontier_table(report))


def test_columns_of_costs_say_that_features_are_excluded():
    plain, told = (frontier_table(r) for r in (watch(), watch().model_copy(update={"features": "10 MFCCs"})))
    assert "excluded" not in printed(plain)
    heads = [str(column.header) for column in told.columns]
    assert {head.split("\n")[0] for head in heads if "features\nexcluded" in head} == {
        "Flash",
        "RAM",
        "Latency",
    }
