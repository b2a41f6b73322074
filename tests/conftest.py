"""Shared by all tests: optional tools are skipped visibly, and never in continuous integration."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from hypothesis import settings

# One process each: the tests of several workers ask for them.
os.environ.setdefault("SMIDGEN_WORKERS", "1")

# Plans take the usual kernels, and no test writes into the user's cache: the tests of choosing ask for it.
os.environ.setdefault("SMIDGEN_CHOOSE", "off")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests of Ctrl-C would hang.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines are busy, so no example has a deadline; continuous integration draws the same examples always.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


# A Python like this one, for tests of what may end its process.
PYTHON = (sys.executable, *(["-S"] if sys.flags.no_site else []))


def require(condition: object, what: str) -> None:
    """Skip the test unless `condition` holds; under REQUIRE_ALL=1, fail it."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is needed", pytrace=False)
    pytest.skip(f"needs {what}")
