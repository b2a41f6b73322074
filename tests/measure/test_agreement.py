"""The check that all back ends agree, and that it notices when one does not."""

from pathlib import Path

import numpy as np
import pytest

from smidgen.errors import Mismatch
from smidgen.measure import agreement as module
from smidgen.measure.agreement import BACKENDS, Agreement, agreement, random_inputs, require_agreement
from smidgen.targets.host import find_compiler
from tests.conftest import require
from tests.integer_networks import integer_network


def test_all_back_ends_agree_on_every_operator() -> None:
    require(find_compiler(), "a C compiler")
    graph = integer_network("sink")
    found = agreement(graph, random_inputs(graph, 50))
    assert found == [Agreement(name, 50, 0) for name in BACKENDS]
    require_agreement(found)


def test_a_single_wrong_byte_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(graph: object, x: np.ndarray, folder: Path) -> np.ndarray:
        y = BACKENDS["native"](integer_network("int8"), x, folder).copy()
        y[3, 0] ^= 1
        return y

    monkeypatch.setattr(module, "BACKENDS", {"native": BACKENDS["native"], "wrong": wrong})
    graph = integer_network("int8")
    found = agreement(graph, random_inputs(graph, 10), ("native", "wrong"))
    assert [a.differing for a in found] == [0, 1]
    with pytest.raises(Mismatch, match="wrong differs on 1 of 10"):
        require_agreement(found)


def test_random_inputs_stay_on_the_inputs_grid() -> None:
    x = random_inputs(integer_network("int8"), 200)
    assert (x.min(), x.max()) == (-128, 127)
    assert x.dtype == np.int8
