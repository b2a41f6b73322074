"""Shared by all tests: optional tools are skipped visibly, and never in continuous integration."""

from __future__ import annotations

import os

import pytest


def require(condition: object, what: str) -> None:
    """Skip the test unless `condition` holds; under REQUIRE_ALL=1, fail it."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is needed", pytrace=False)
    pytest.skip(f"needs {what}")
