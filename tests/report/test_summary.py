"""The sentences at the top of every report say what is true, good or bad."""

from __future__ import annotations

from smidgen.measurement import Measurement
from smidgen.report.model import Drop, Point, Report, Score
from smidgen.report.summary import beaten_by, headline, sentences, split_of
from tests.report.reports import POINTS, point, watch


def told(report: Report) -> str:
    return "\n".join([headline(report).text, *(s.text for s in sentences(report))])


def with_points(*points: Point) -> Report:
    return watch().model_copy(update={"points": points})


def rival(accuracy: float, flash: float, sd: float = 0.1) -> Point:
    return point(50, "width-0.6", "width baseline", (accuracy, sd), (flash, 9e3, 5.0))


CHOSEN = POINTS[1]


def test_headline_names_ratio_change_and_split():
    # 141000 / 14900 = 9.463; 89.5 - 89.9 = -0.4; hypot(0.4, 0.4) = 0.57
    assert headline(watch()).text == "9.46× smaller flash at −0.4 ± 0.6 points of accuracy (test split)."


def test_a_gain_carries_a_plus_sign():
    better = CHOSEN.model_copy(update={"test": Score(mean=91.0)})
    assert "at +1.1 ± 0.4 points" in headline(with_points(better)).text


def test_validation_is_used_and_said_while_the_test_split_is_closed():
    closed = CHOSEN.model_copy(update={"test": None})
    assert "−0.4 ± 0.6 points of accuracy (validation split)" in headline(with_points(closed)).text
    assert split_of(closed, watch().uncompressed) == "validation"


def test_a_single_seed_claims_no_spread():
    single = CHOSEN.model_copy(update={"test": Score(mean=89.5)})
    report = with_points(single)
    report = report.model_copy(
        update={"uncompressed": report.uncompressed.model_copy(update={"test": Score(mean=89.9)})}
    )
    assert "at −0.4 points of accuracy" in headline(report).text


def test_growth_is_called_larger():
    big = CHOSEN.model_copy(
        update={"measurements": (Measurement("flash_bytes", 282_000, "byte", "measured"),)}
    )
    assert headline(with_points(big)).text.startswith("2× larger flash")


def test_without_firmware_of_the_original_the_files_are_compared():
    file = lambda n: Measurement("file_bytes", n, "byte", "measured")  # noqa: E731
    chosen = CHOSEN.model_copy(update={"measurements": (*CHOSEN.measurements, file(10_000))})
    report = with_points(chosen)
    plain = report.uncompressed.model_copy(update={"measurements": (file(125_000),)})
    text = headline(report.model_copy(update={"uncompressed": plain})).text
    assert text.startswith("12.5× smaller file, 14.6 KB of flash at −0.4")


def test_the_budget_is_compared_limit_by_limit():
    assert "Fits the budget: Flash 14.6 KB of 64 KB (23%), RAM 10.9 KB of 48 KB (23%)." in told(watch())


def test_a_limit_that_was_not_measured_does_not_count_as_kept():
    report = watch().model_copy(update={"budget": {"energy_uj": 5.0}})
    assert "Does not fit the budget: Energy not measured of 5 µJ." in told(report)


def test_what_running_it_takes_is_said_with_the_figures_it_comes_from():
    energy = Measurement("energy_uj", 0.42, "uJ", "modelled")
    report = with_points(CHOSEN.model_copy(update={"measurements": (*CHOSEN.measurements, energy)}))
    report = report.model_copy(update={"sources": {"energy_uj": "Horowitz 2014"}})
    assert "Running it takes 420 nJ a prediction (modelled; Horowitz 2014)." in told(report)
    assert "Running it" not in told(watch())


def test_the_paired_interval_is_printed_as_a_change():
    assert "−0.4 points [−0.8, ±0.0], 95% interval; up to 1 may be lost" in told(watch())


def test_an_interval_that_reaches_past_the_limit_proves_nothing():
    wide = CHOSEN.model_copy(update={"drop": Drop(points=0.4, low=-1, high=1.84, clusters=28)})
    text = told(with_points(wide))
    assert "95% interval over 28 clusters; up to 1 may be lost: not proven, it may be 1.8." in text
    assert "not proven" not in told(watch())


def test_the_p_value_stands_beside_the_interval():
    paired = CHOSEN.model_copy(update={"drop": Drop(points=0.4, low=0, high=0.8, mcnemar_p=0.0312)})
    assert "95% interval, McNemar p = 0.031; up to 1" in told(with_points(paired))


def test_a_baseline_that_is_smaller_and_better_beats_the_chosen_point():
    report = with_points(CHOSEN, rival(91.0, 14_000))
    text = told(report)
    assert [p.label for p in beaten_by(report)] == ["width-0.6"]
    assert "A baseline beats it: width-0.6 reaches 91.0 ± 0.1% in 13.7 KB" in text
    assert "this one 90.8 ± 0.3% (validation split). Prefer the baseline" in text


def test_one_seed_is_not_enough_to_prefer_a_baseline():
    once = rival(91.0, 14_000).model_copy(update={"validation": Score(mean=91.0)})
    assert "One seed may be luck: add seeds." in told(with_points(CHOSEN, once))


def test_an_equal_baseline_is_named_too():
    assert "A baseline equals it: width-0.6 reaches 90.8" in told(with_points(CHOSEN, rival(90.8, 14_900)))


def test_a_larger_or_worse_baseline_does_not_beat_it():
    report = with_points(CHOSEN, rival(91.0, 14_901), rival(90.0, 100, sd=0.0))
    assert not beaten_by(report)
    assert "No baseline of its size or smaller, of 2 baselines, reaches its accuracy." in told(report)


def test_a_lead_within_one_standard_deviation_is_called_luck():
    assert "the lead may be luck" in told(with_points(CHOSEN, rival(90.6, 14_000)))


def test_missing_baselines_are_said():
    assert "No baseline was trained" in told(with_points(CHOSEN))


def test_without_a_chosen_point_the_closest_is_named():
    report = with_points(
        point(1, "large", "compressed", (90.0, 0.1), (80_000, 1, 1)),
        point(2, "larger", "compressed", (91.0, 0.1), (90_000, 1, 1)),
    )
    text = told(report)
    assert "No candidate fits Flash ≤ 64 KB and RAM ≤ 48 KB with at most 1 points of accuracy lost." in text
    assert "The closest is large (Flash 78.1 KB of 64 KB). It changes accuracy by −1.2 points" in text


def test_without_any_candidate_that_is_said():
    assert "No compressed candidate could be built" in told(with_points())


def test_what_was_tried_is_counted():
    assert "4 compressed candidates, 3 baselines, 1 rejected and 1 failed; 4 points on the frontier." in told(
        watch()
    )


def test_shared_work_is_told():
    shared = watch().model_copy(update={"reused_steps": 7})
    assert "on the frontier. Work of 7 steps was shared between candidates." in told(shared)


def test_costs_without_the_features_are_said_to_be():
    assert "Features excluded" not in told(watch())
    assert "Features excluded" in told(watch().model_copy(update={"features": "10 MFCCs"}))
    assert "(10 MFCCs) is in none of the costs" in told(watch().model_copy(update={"features": "10 MFCCs"}))
