"""The tests here run in an emulator, once with each instruction set of their module's SETS."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest

from smidgen.kernels import native
from smidgen.run.isa import VARIABLE
from tests.conftest import require


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("isa", metafunc.module.SETS, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    for package in ("ziglang", "elftools", "unicorn"):
        require(importlib.util.find_spec(package), package)
    from tests.kernels.neon.module import EmulatedModule

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "smidgen.kernels._native", EmulatedModule(native(), request.param))
        patch.setenv(VARIABLE, request.param)
        yield request.param
