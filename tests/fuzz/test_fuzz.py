"""Thousands of hostile files are opened or refused: no other exception, no crash, no hang."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import require
from tests.fuzz.harness import KINDS, LOADED, attempt, kind_of, seeded

CASES = {"smg": 600, "onnx": 250, "npz": 700, "parquet": 400, "recipe": 800, "target": 800}
PACKAGES = {"onnx": "onnx", "parquet": "pyarrow"}


@pytest.mark.parametrize("name", KINDS)
def test_hostile_files_are_opened_or_refused(name: str, tmp_path: Path) -> None:
    package = PACKAGES.get(name, "numpy")
    require(importlib.util.find_spec(package), package)
    kind = kind_of(name)
    cases = (kind.case(seeded(name, number)) for number in range(CASES[name]))
    outcomes = Counter(attempt(kind, data, tmp_path) for data in cases)
    assert outcomes[LOADED] > 0, "changes so small that they do no harm are among them"
    assert outcomes[LOADED] < CASES[name] / 2
