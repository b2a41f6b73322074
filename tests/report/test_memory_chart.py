"""The picture of memory over time: bars in proportion, the peak and the limit marked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.measure.memory_map import Moment
from smidgen.report.memory_chart import BAR_WIDTH, MOST_LINES, memory_chart


def moments(*nbytes: int) -> list[Moment]:
    return [Moment(f"node{i}", "q.conv", n) for i, n in enumerate(nbytes)]


def test_bars_are_in_proportion() -> None:
    lengths = [line.count("█") for line in memory_chart(moments(100, 50, 25))]
    assert lengths == [BAR_WIDTH, BAR_WIDTH // 2, BAR_WIDTH // 4]


def test_the_peak_is_marked() -> None:
    assert [line.endswith("peak") for line in memory_chart(moments(10, 30, 20))] == [False, True, False]


def test_what_passes_the_limit_is_marked_and_the_rest_shows_it() -> None:
    over, under = memory_chart(moments(100, 40), limit_bytes=50)
    assert "!" in over
    assert "|" not in over
    assert under.endswith("|")
    assert "!" not in under


@given(st.lists(st.integers(0, 10**6), max_size=200), st.none() | st.floats(-1e6, 1e6))
def test_a_long_network_is_shortened_and_keeps_its_peak(nbytes: list[int], limit: float | None) -> None:
    lines = memory_chart(moments(*nbytes), limit)
    assert len(lines) <= MOST_LINES
    assert bool(lines) == bool(nbytes)
    assert not nbytes or any(f" {max(nbytes):,} " in f"{line} " for line in lines)


def test_a_long_name_keeps_its_end() -> None:
    (line,) = memory_chart([Moment("block3.branch2.depthwise.conv", "q.conv", 5)])
    assert "depthwise.conv" in line
    assert "block3" not in line
