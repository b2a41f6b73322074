"""Ceilings: sizes as the system tells them, rates that a processor can have, and what layers make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.kernels import native
from smidgen.measure import ceilings
from smidgen.measure.ceilings import ASSUMED_BYTES, Ceilings, buffer, cache_sizes, measure_ceilings


def cache(folder: Path, index: int, level: str, kind: str, size: str) -> None:
    here = folder / f"index{index}"
    here.mkdir()
    for name, content in (("level", level), ("type", kind), ("size", size)):
        (here / name).write_text(content + "\n")


def test_data_caches_are_read_from_the_system(tmp_path: Path) -> None:
    cache(tmp_path, 0, "1", "Data", "48K")
    cache(tmp_path, 1, "1", "Instruction", "32K")
    cache(tmp_path, 2, "2", "Unified", "2048K")
    cache(tmp_path, 3, "3", "Unified", "1M")
    assert cache_sizes(tmp_path) == {"L1": 48 << 10, "L2": 2 << 20, "L3": 1 << 20}


def test_sizes_are_assumed_where_the_system_says_nothing(tmp_path: Path) -> None:
    assert cache_sizes(tmp_path) == ASSUMED_BYTES


def test_bytes_stay_in_the_smallest_level_that_holds_them() -> None:
    found = Ceilings("ref", {}, {}, {"L1": 100, "L2": 1000})
    assert [found.level(n) for n in (1, 100, 101, 1000, 1001)] == ["L1", "L1", "L2", "L2", "DRAM"]


def test_buffers_start_at_a_cache_line() -> None:
    assert [buffer(n).ctypes.data % 64 for n in (1, 100, 4096)] == [0, 0, 0]
    assert buffer(100).size == 100


@pytest.mark.parametrize("isa", native().supported_isas())
def test_every_ceiling_is_measured(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_ISA", isa)
    for name, few in (("ROUNDS", 2000), ("REPEATS", 3), ("READ_BYTES", 1 << 20), ("DRAM_BYTES", 1 << 20)):
        monkeypatch.setattr(ceilings, name, few)
    told: list[float] = []
    found = measure_ceilings(lambda fraction, message: told.append(fraction))
    assert found.isa == isa
    assert list(found.bandwidth) == [*found.cache_bytes, "DRAM"]
    # From an old processor that is busy to more than any has.
    assert all(1e8 < rate < 1e14 for rate in found.operations.values())
    assert all(1e7 < rate < 1e13 for rate in found.bandwidth.values())
    assert told == sorted(told)
    assert told[-1] < 1


def test_more_rounds_take_longer() -> None:
    """The compiler did not find a way around the work."""
    for isa in native().supported_isas():
        for kind in ("multiply_add", "dot", "popcount", "tiles"):
            if not native().ceiling_arithmetic(isa, kind, 1)[0]:
                continue
            few, many = (
                min(native().ceiling_arithmetic(isa, kind, n)[1] for _ in range(5)) for n in (2_000, 64_000)
            )
            assert many > 8 * few, (isa, kind)


def test_an_unknown_ceiling_is_refused() -> None:
    with pytest.raises(ValueError, match="no ceiling nonsense"):
        native().ceiling_arithmetic("ref", "nonsense", 1)


def test_an_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no instruction set sse9"):
        native().ceiling_read("sse9", np.zeros(512, np.uint8), 1)
