"""Frontier charts: the data they draw, their scales, and pictures of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.measurement import Measurement
from smidgen.report.model import Score
from tests.report.reports import POINTS, watch

pytest.importorskip("altair")

from smidgen.report.axes import lowest_drawn, ticks
from smidgen.report.charts import frontier_chart
from smidgen.report.image import write_image


def layers(spec: dict[str, Any], data: Any = None) -> list[dict[str, Any]]:
    """All innermost layers, each with the data that it draws."""
    data = spec.get("data", data)
    if "layer" not in spec:
        return [{**spec, "data": data}]
    return list(itertools.chain.from_iterable(layers(item, data) for item in spec["layer"]))


def rows(spec: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The data of the first layer with this mark."""
    return next(item["data"]["values"] for item in layers(spec) if item["mark"]["type"] == kind)


def test_every_point_and_the_original_are_drawn_with_error_bars():
    drawn = rows(frontier_chart(watch(), "flash_bytes"), "point")
    assert len(drawn) == len(watch().points) + 1
    assert {(r["cost"], r["low"], r["high"]) for r in drawn} == {
        (
            p.measurement("flash_bytes").value,
            p.validation.mean - p.validation.sd,
            p.validation.mean + p.validation.sd,
        )
        for p in (watch().uncompressed, *watch().points)
    }


def test_points_far_below_the_frontier_are_counted_instead_of_drawn():
    hopeless = POINTS[2].model_copy(update={"validation": Score(mean=2.0)})
    report = watch().model_copy(update={"points": (*POINTS, hopeless)})
    assert 2.0 < lowest_drawn(report) < min(p.validation.mean for p in POINTS)
    marks = [item["mark"] for item in layers(frontier_chart(report, "flash_bytes"))]
    assert "1 point far below not drawn, see the table" in [mark.get("text") for mark in marks]


def test_points_without_the_cost_are_left_out():
    report = watch().model_copy(
        update={"points": (POINTS[0].model_copy(update={"measurements": ()}), POINTS[1])}
    )
    assert len(rows(frontier_chart(report, "ram_bytes"), "point")) == 2


def test_the_staircase_is_the_frontier_of_that_cost_alone():
    points = watch().points
    for cost in ("flash_bytes", "ram_bytes", "latency_ms"):
        seen = [(p.measurement(cost).value, p.validation.mean) for p in points]
        best = {
            (c, a) for c, a in seen if not any(c2 <= c and a2 >= a and (c2, a2) != (c, a) for c2, a2 in seen)
        }
        assert {(r["cost"], r["accuracy"]) for r in rows(frontier_chart(watch(), cost), "line")} == best


def test_the_budget_is_drawn_at_its_limit():
    spec = frontier_chart(watch(), "flash_bytes")
    assert rows(spec, "text") == [{"limit": 65536, "text": "budget 64 KB"}]


def test_without_a_limit_there_is_no_budget_line():
    styles = {item["mark"].get("style") for item in layers(frontier_chart(watch(), "latency_ms"))}
    assert "budget" not in styles


def test_sizes_are_logarithmic_and_the_axis_says_how_they_were_obtained():
    point = next(i for i in layers(frontier_chart(watch(), "ram_bytes")) if i["mark"]["type"] == "point")
    assert point["encoding"]["x"]["scale"]["type"] == "log"
    assert point["encoding"]["x"]["title"] == "RAM (emulated)"


def test_a_cost_of_zero_makes_the_axis_linear():
    free = POINTS[0].model_copy(update={"measurements": (Measurement("ram_bytes", 0, "byte", "measured"),)})
    spec = frontier_chart(watch().model_copy(update={"points": (free,)}), "ram_bytes")
    point = next(i for i in layers(spec) if i["mark"]["type"] == "point")
    assert "type" not in point["encoding"]["x"]["scale"]


@given(st.floats(1e-3, 1e9), st.floats(1.6, 1e6), st.sampled_from([2, 10]))
def test_ticks_are_few_increasing_and_inside(low, factor, base):
    found = ticks(low, low * factor, base)
    assert 1 <= len(found) <= 8
    assert found == sorted(set(found))
    assert low <= found[0] <= found[-1] <= low * factor


def test_png_and_svg_are_written(tmp_path):
    write_image(watch(), tmp_path / "a.png", scale=1)
    write_image(watch(), tmp_path / "a.svg", theme="dark")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "a.svg").read_text()
    assert svg.startswith("<svg")
    assert svg.count('aria-roledescription="point"') == len(watch().points) + 2  # the original and the ring


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.gif", {}, "the ending '.gif', but pictures are .png or .svg"),
        ("a.png", {"theme": "blue"}, "the theme 'blue', but themes are light, dark"),
        ("a.png", {"cost": "energy_uj"}, "no point has 'energy_uj', but costs are flash_bytes, ram_bytes"),
    ],
)
def test_pictures_that_can_not_be_drawn_are_refused(tmp_path, name, options, expected):
    with pytest.raises(BadInput, match=expected):
        write_image(watch(), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())
