"""Where weights are on a microcontroller: what each way takes, and which one is chosen."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from smidgen.emit.c import CEmitter
from smidgen.measure.firmware import Firmware, fitting_firmware, weight_choices
from smidgen.targets import load_target
from tests.conftest import require
from tests.integer_networks import integers_of
from tests.networks import large_maps, peaked

M4 = load_target("cortex-m4")
GRAPH = integers_of(peaked())


def fitting(folder: Path, flash: float | None = None, ram: float | None = None) -> Firmware:
    require(importlib.util.find_spec("ziglang"), "ziglang")
    require(importlib.util.find_spec("elftools"), "elftools")
    return fitting_firmware(GRAPH, M4, CEmitter(), {"flash_bytes": flash, "ram_bytes": ram}, folder)


@pytest.fixture(scope="module")
def choices() -> dict[str, dict[str, float]]:
    for package in ("ziglang", "elftools", "unicorn"):
        require(importlib.util.find_spec(package), package)
    return {way: {m.name: m.value for m in found} for way, found in weight_choices(GRAPH, M4).items()}


def test_coding_trades_ram_and_instructions_for_flash(choices: dict[str, dict[str, float]]) -> None:
    stored, coded = choices["stored"], choices["coded"]
    assert coded["flash_bytes"] < stored["flash_bytes"]
    assert coded["ram_bytes"] > stored["ram_bytes"] + 256 * 64
    assert coded["instructions"] > stored["instructions"]


def test_without_limits_weights_are_multiplied_as_they_are_stored(tmp_path: Path) -> None:
    assert fitting(tmp_path / "c").weights == "stored"


def test_weights_are_coded_where_flash_is_the_limit(
    choices: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    limit = choices["coded"]["flash_bytes"]
    found = fitting(tmp_path / "c", flash=limit)
    assert (found.weights, found.bytes_of("flash_bytes")) == ("coded", limit)
    assert (tmp_path / "c" / "kernels" / "smg_limits.h").exists()


def test_the_first_layers_run_in_strips_where_ram_is_the_limit(tmp_path: Path) -> None:
    require(importlib.util.find_spec("ziglang"), "ziglang")
    graph = integers_of(large_maps())
    found = fitting_firmware(graph, M4, CEmitter(), {"flash_bytes": None, "ram_bytes": 14000}, tmp_path / "c")
    assert found.patches >= 2
    assert found.bytes_of("ram_bytes") <= 14000


@pytest.mark.parametrize("less", [{"flash": 1}, {"ram": 1}])
def test_coding_that_does_not_fit_either_is_not_chosen(
    less: dict[str, int], choices: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    limits = {key: choices["coded"][f"{key}_bytes"] - less.get(key, 0) for key in ("flash", "ram")}
    assert fitting(tmp_path / "c", **limits).weights == "stored"
