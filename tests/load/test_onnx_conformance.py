"""The standard tests of the `onnx` package: none is wrong, and docs/OPERATORS.md says what came of each."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from benchmarks.conformance.cases import LIGHT, Case, model_cases, node_cases
from benchmarks.conformance.page import PAGE, page
from benchmarks.conformance.records import Group, Record, grouped, probed
from benchmarks.conformance.verdicts import Verdict, verdict
from smidgen.load.onnx_walk import CAPTURED
from tests.conftest import require

# onnx's reference, which runs islands, takes many seconds for each: the script alone runs these.
SLOW = frozenset(
    {
        "test_MaxPool1d_stride_padding_dilation",
        "test_MaxPool2d_stride_padding_dilation",
        "test_averagepool_3d_default",
        "test_lppool_3d_default",
        "test_maxpool_3d_default",
    }
)
AGAIN = "Run: python benchmarks/operators.py"


def same_onnx() -> None:
    """Other versions hold other tests."""
    recorded = Record.read().onnx
    require(onnx.__version__ == recorded, f"onnx {recorded}, whose tests are recorded")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    folder = tmp_path_factory.mktemp("conformance")
    cases: list[Case] = [*node_cases(), *model_cases()]
    return [verdict(case, folder) for case in cases if case.name not in SLOW]


def without_slow(groups: tuple[Group, ...]) -> set[tuple[str, ...]]:
    """(test, outcome, presentation, reason) of each test that is run here."""
    return {
        (test, group.outcome, group.how, group.reason)
        for group in groups
        if group.kind != LIGHT
        for test in group.tests
        if test not in SLOW
    }


def test_no_standard_test_is_wrong(verdicts: list[Verdict]) -> None:
    assert [(v.case.name, v.reason) for v in verdicts if v.outcome.name == "WRONG"] == []


def test_every_standard_test_passes_or_is_a_recorded_miss(verdicts: list[Verdict]) -> None:
    same_onnx()
    found, recorded = without_slow(grouped(verdicts)), without_slow(Record.read().groups)
    assert (sorted(found - recorded), sorted(recorded - found)) == ([], []), AGAIN


def test_the_recorded_support_of_each_operator_is_what_trying_gives(verdicts: list[Verdict]) -> None:
    same_onnx()
    require(_has("onnxruntime"), "onnxruntime")
    assert probed(verdicts, CAPTURED) == Record.read().support, AGAIN


def test_the_page_is_generated_from_the_record() -> None:
    assert Path(PAGE).read_text(encoding="utf-8") == page(Record.read()), AGAIN


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
