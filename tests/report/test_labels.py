"""Numbers and names as people read them."""

from __future__ import annotations

import pytest

from smidgen.measurement import Measurement
from smidgen.report import labels
from smidgen.report.model import Drop, Score


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (65536, "byte", "64 KB"),
        (0.0123, "ms", "12.3 µs"),
        (12345.6, "1/s", "12,346/s"),
        (3.14159, "uJ", "3.14 µJ"),
        (2, "", "2"),
    ],
)
def test_values_carry_their_unit(value, unit, text):
    assert labels.format_value(value, unit) == text


def test_spread_of_times_is_an_interquartile_range():
    assert (
        labels.format_measurement(Measurement("latency_ms", 2.0, "ms", "measured", 100, 0.5))
        == "2 ms (IQR 500 µs)"
    )


def test_spread_of_other_numbers_is_a_standard_deviation():
    assert labels.format_measurement(Measurement("energy_uj", 50, "uJ", "measured", 9, 2)) == "50 µJ ± 2 µJ"


def test_a_single_run_has_no_spread():
    assert labels.format_measurement(Measurement("file_bytes", 10, "byte", "measured")) == "10 B"


@pytest.mark.parametrize(
    ("points", "text"), [(0.04, "±0.0"), (-0.04, "±0.0"), (1.25, "+1.2"), (-3.0, "−3.0")]
)
def test_changes_carry_a_sign(points, text):
    assert labels.signed(points) == text


def test_a_drop_reads_as_the_change_it_is():
    assert labels.format_change(Drop(points=0.4, low=-0.1, high=0.9)) == "−0.4 points [−0.9, +0.1]"


def test_scores_of_several_seeds_show_their_spread():
    assert labels.format_score(Score(mean=91.24, sd=0.26, seeds=3)) == "91.2 ± 0.3%"
    assert labels.format_score(Score(mean=91.24)) == "91.2%"


@pytest.mark.parametrize(
    ("name", "text"), [("ram_bytes", "RAM"), ("peak_power_mw", "Peak power"), ("x", "X")]
)
def test_unknown_costs_read_as_words(name, text):
    assert labels.cost_label(name) == text


@pytest.mark.parametrize(("n", "text"), [(280, "280"), (72_000, "72 k"), (1_234_567, "1.23 M"), (2e9, "2 G")])
def test_counts_are_short(n, text):
    assert labels.count(n) == text


def test_only_costs_that_features_would_add_to_say_they_are_excluded():
    assert labels.remark("", "latency_ms") == ""
    assert labels.remark("10 MFCCs", "file_bytes") == ""
    for name in ("latency_ms", "ram_bytes", "energy_uj", "flash_bytes", "throughput"):
        assert labels.remark("10 MFCCs", name) == "features excluded"


def test_metrics_have_their_usual_names_and_functions_keep_theirs():
    assert (labels.metric_label("rmse"), labels.metric_label("balanced_accuracy")) == (
        "RMSE",
        "Balanced accuracy",
    )
    assert (labels.metric_name("f1"), labels.metric_name("a_b:c_d")) == ("F1", "a_b:c_d")
