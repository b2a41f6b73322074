"""The page about searches with all methods: from a real search of seconds, and its figures one by one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import benchmarks.together as script
from benchmarks.together import Dense, Search, has, searched_methods, verdict


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    monkeypatch.setattr(script, "SEARCHES", (Search("digits", "cortex-m4", "4s"),))
    monkeypatch.setattr(sys, "argv", ["together"])
    return tmp_path


def test_a_search_of_seconds_becomes_a_page_and_is_not_repeated(
    quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.main()
    page = (quick / "together.md").read_text(encoding="utf-8")
    assert "## digits for cortex-m4, 4s" in page
    assert "| quantize.affine |" in page
    assert all(f"| {method} |" in page for method in searched_methods())
    monkeypatch.setattr(script.subprocess, "run", lambda *_, **__: pytest.fail("searched again"))
    script.main()
    assert (quick / "together.md").read_text(encoding="utf-8") == page


def test_dense_networks_lie_on_a_line_in_the_logarithm_of_bytes() -> None:
    dense = Dense((1000, 4000), (50, 70), (52, 74))
    assert dense.lead(2000, 65, dense.validation) == pytest.approx(5)
    assert dense.lead(2000, 65, dense.test) == pytest.approx(2)
    assert dense.lead(9000, 75, dense.validation) == pytest.approx(5)  # as the largest
    assert dense.holds(1000)
    assert not dense.holds(999)


def test_a_method_is_told_by_its_whole_name() -> None:
    label = "quantize.data_free(bits=4) → tune.fit"
    assert has("quantize.data_free", label)
    assert not has("prune.data_free", label)
    assert not has("quantize.data", label)


@pytest.mark.parametrize(
    ("kept", "lead", "words"),
    [
        (2, 1.0, "survives, above dense networks"),
        (0, 0.8, "does not, level with dense networks"),
        (1, -0.9, "survives, below dense networks"),
        (0, None, "does not, smaller than any dense network"),
    ],
)
def test_verdicts_in_words(kept: int, lead: float | None, words: str) -> None:
    assert verdict(kept, lead, 0.4) == words
