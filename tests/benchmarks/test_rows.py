"""Benchmarks of post-training methods: runs are stored at once, scores are those of the file's integers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.methods import ocs, overq, rows
from smidgen.methods.step import Step
from tests.networks import digits, small_cnn


def test_a_second_start_goes_on_with_what_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    asked: list[str] = []

    def run(key: str) -> dict[str, float]:
        asked.append(key)
        if asked.count("b") == 1 and key == "b":
            raise KeyboardInterrupt
        return {"test": float(len(key))}

    with pytest.raises(KeyboardInterrupt):
        rows.stored("some", ["a", "b"], run)
    assert rows.stored("some", ["a", "b"], run) == {"a": {"test": 1.0}, "b": {"test": 1.0}}
    assert asked == ["a", "b", "b"]


@pytest.mark.parametrize(
    "steps", [ocs.recipes(4)["splitting 0.05 + mse"][:2], overq.steps(4, "range, cascade 1", 1.0)]
)
def test_a_recipe_of_the_benchmarks_is_scored(steps: tuple[Step, ...]) -> None:
    found = rows.score(steps, small_cnn(), digits(), 0)
    assert 0 <= found["test"] <= 100
    assert found["bytes"] > 0
    assert found["macs"] > 0
