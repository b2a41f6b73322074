"""The report document: JSON round trip and refusal of anything else."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import BadFile
from smidgen.measurement import Measurement
from smidgen.report.model import Drop, Report, Score, read_report, write_report
from tests.report.reports import POINTS, watch

texts = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.floats(0, 1e12)


def test_json_round_trip_keeps_everything(tmp_path):
    write_report(watch(), tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == watch()


@given(texts, texts, numbers, numbers, st.sampled_from(["measured", "emulated", "simulated", "modelled"]))
def test_json_round_trip_holds_for_any_names_and_numbers(label, note, value, mean, how):
    found = Measurement(label, value, note, how, 3, value / 7)
    point = POINTS[0].model_copy(
        update={"label": label, "measurements": (found,), "validation": Score(mean=mean)}
    )
    report = watch().model_copy(update={"points": (point,), "caveats": note})
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_infinite_intervals_survive_as_valid_json(tmp_path):
    """One difference alone has no finite interval."""
    wide = Drop(points=0.5, low=-math.inf, high=math.inf)
    report = watch().model_copy(update={"points": (POINTS[0].model_copy(update={"drop": wide}),)})
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json").points[0].drop == wide
    json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)


def test_frontier_is_sorted_by_the_size_axis():
    assert [p.id for p in watch().frontier] == ["0004", "0006", "0002", "0001"]


def test_the_chosen_point_is_found():
    chosen = watch().chosen
    assert chosen is not None
    assert chosen.id == "0002"


def test_costs_that_were_not_measured_are_infinite():
    assert watch().cost(POINTS[0], "energy_uj") == math.inf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not a readable report"),
        ("[1]", "report version None"),
        ("{}", "report version None"),
        ('{"schema_version": 2}', "report version 2, but this version of smidgen reads 1"),
        ('{"schema_version": 1}', "task: field required"),
    ],
)
def test_other_files_are_refused(tmp_path, text, expected):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(BadFile, match=expected):
        read_report(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadFile, match="not a readable report"):
        read_report(tmp_path / "none.json")


def test_unknown_fields_are_refused(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**json.loads(watch().model_dump_json()), "colour": "red"}))
    with pytest.raises(BadFile, match="colour: extra inputs are not permitted"):
        read_report(path)


def test_nothing_but_the_report_is_left_in_the_folder(tmp_path):
    write_report(watch(), tmp_path / "deep" / "report.json")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["report.json"]
