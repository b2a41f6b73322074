"""How `benchmarks/kernels.py` turns times into rows."""

from __future__ import annotations

from benchmarks.kernel_cases.case import Case
from benchmarks.kernels import READER_BYTES, roof_operations, rows_of


def nothing() -> None:
    """A candidate that is never called."""


def case_of(**settings: object) -> Case:
    return Case("a case", {"ours": nothing, "peer": nothing}, ours="ours", **settings)


def test_a_goal_is_about_the_ratio_of_medians() -> None:
    times = {"ours": [1.0, 2.0, 3.0], "peer": [8.0, 8.0, 80.0]}
    _, peer = rows_of("family", case_of(goals={"peer": 4.0}), times)
    assert peer["goal"] == "4.0: reached"
    _, peer = rows_of("family", case_of(goals={"peer": 4.1}), times)
    assert peer["goal"] == "4.1: missed"


def test_ratios_are_paired_by_rounds() -> None:
    """A machine that is slow for a while is slow for both."""
    _, peer = rows_of("family", case_of(), {"ours": [1.0, 10.0, 100.0], "peer": [3.0, 30.0, 300.0]})
    assert peer["times faster"] == "3 (3 to 3)"


def test_the_share_of_the_memory_is_that_of_bytes_a_second() -> None:
    times = {"ours": [10.0], "peer": [1.0], "DRAM": [20.0]}
    ours, peer = rows_of("family", case_of(read_bytes=READER_BYTES // 4, roof_goals={"ours": 0.8}), times)
    assert ours["% of DRAM"].startswith("50% of ")
    assert ours["% of DRAM"].endswith("goal 80%")
    assert peer["% of DRAM"] == ""


def test_the_share_of_a_roof_is_that_of_operations_a_second() -> None:
    operations = roof_operations("popcount") / 4
    case = case_of(operations=operations, roofs={"ours": "popcount"}, roof_goals={"ours": 0.8})
    ours, peer = rows_of("family", case, {"ours": [10.0], "peer": [1.0], "popcount": [20.0]})
    assert ours["% of roof"].startswith("50% of ")
    assert ours["% of roof"].endswith("xor, popcount and add, goal 80%")
    assert peer["% of roof"] == ""
