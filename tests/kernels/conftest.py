"""Every kernel test runs once for each instruction set of this processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smidgen.kernels import native
from smidgen.run.isa import VARIABLE


@pytest.fixture(scope="module", autouse=True, params=native().supported_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield request.param
