"""Scripts that take hours are run by hand; that they can be started at all is seen here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for pattern in ("*.py", "methods/*.py")
    for path in (ROOT / "benchmarks").glob(pattern)
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_imported_and_says_what_it_is(name: str) -> None:
    module = import_module(name)
    assert module.__doc__ or name.endswith("__init__")
