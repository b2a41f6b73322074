import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.units import (
    format_bytes,
    format_microjoules,
    format_milliseconds,
    format_seconds,
    parse_bytes,
    parse_microjoules,
    parse_milliseconds,
    parse_percent,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64KB", 65536),
        ("64 kib", 65536),
        ("20", 20),
        ("1.5MB", 1572864),
        ("7b", 7),
        (".5kb", 512),
        ("1e3", 1000),
    ],
)
def test_sizes_are_powers_of_1024(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "KB", "-4KB", "64KX", "6 4KB", "0x10", "nan", "inf", "1e999", "٣KB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(BadInput, match="budget flash"):
        parse_bytes(text, "budget flash")


def test_a_time_needs_its_unit():
    with pytest.raises(BadInput, match="known units are ns, us, µs, ms, s"):
        parse_milliseconds("10")


@pytest.mark.parametrize(("text", "ms"), [("10ms", 10.0), ("250us", 0.25), ("250 µs", 0.25), ("2s", 2000.0)])
def test_times_are_milliseconds(text, ms):
    assert parse_milliseconds(text) == pytest.approx(ms)


@pytest.mark.parametrize(
    ("text", "uj"), [("5uJ", 5.0), ("250nJ", 0.25), ("2 µJ", 2.0), ("1e3pJ", 1e-3), ("1mJ", 1e3)]
)
def test_energies_are_microjoules(text, uj):
    assert parse_microjoules(text) == pytest.approx(uj)


@given(st.floats(1e-3, 1e5))
def test_formatted_energies_parse_to_within_their_three_digits(uj):
    assert parse_microjoules(format_microjoules(uj)) == pytest.approx(uj, rel=0.0051)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("20m", 1200), ("2h", 7200), ("3min", 180)])
def test_durations_are_seconds(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(("text", "points"), [("1", 1.0), ("0.5%", 0.5), ("0", 0.0)])
def test_percentages_are_points(text, points):
    assert parse_percent(text) == points


@given(st.integers(0, 1 << 40))
def test_formatted_sizes_parse_to_within_their_three_digits(count):
    assert parse_bytes(format_bytes(count)) == pytest.approx(count, rel=0.0051)


@given(st.integers(1, 999), st.sampled_from(["KB", "MB", "GB"]))
def test_whole_units_come_back_exactly(count, unit):
    assert format_bytes(parse_bytes(f"{count}{unit}")) == f"{count} {unit}"


@given(st.floats(1e-4, 1e5))
def test_formatted_times_parse_to_within_their_three_digits(ms):
    assert parse_milliseconds(format_milliseconds(ms)) == pytest.approx(ms, rel=0.0051)


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.2, "7 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (-1, "0 s")]
)
def test_durations_read_like_a_person_says_them(seconds, text):
    assert format_seconds(seconds) == text
