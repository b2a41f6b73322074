"""Thousands of damaged plans are refused, or run inside their memory: their own process shows crashes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.conftest import PYTHON

CASES = int(os.environ.get("SMIDGEN_FUZZ_PLANS", "20000"))


def test_damaged_plans_never_crash() -> None:
    done = subprocess.run(
        [*PYTHON, "-m", "tests.fuzz.plans", "0", str(CASES)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"case {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert sum(found.values()) == CASES
    assert found["refused"] > CASES / 10
    assert found["ran"] > CASES / 10, "changes that do no harm are among them"
