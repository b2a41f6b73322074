"""The tests here run once with NEON and once with its dot products, in the emulator."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest

from smidgen.kernels import native
from smidgen.run.isa import VARIABLE
from tests.conftest import require

SETS = {"neon": ("neon",), "dotprod": ("dotprod",)}


@pytest.fixture(scope="module", autouse=True, params=SETS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    for package in ("ziglang", "elftools", "unicorn"):
        require(importlib.util.find_spec(package), package)
    from tests.kernels.neon.module import EmulatedModule

    emulated = EmulatedModule(native(), SETS[request.param])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "smidgen.kernels._native", emulated)
        patch.setenv(VARIABLE, request.param)
        yield request.param
