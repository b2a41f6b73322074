"""The benchmark of every method in seconds: few samples, one epoch, the whole path to the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import common, kernels
from benchmarks.methods import alpha_blend, few_bits, nonlinear_times, rows, trained
from smidgen.data.dataset import Splits
from smidgen.tasks.task import load_task

ONE_RATE = {"RATES": (3e-3,)}
FEW_ROWS = {"ROWS": 48, "VALIDATION": 32}
TINY: dict[str, dict[str, Any]] = {
    "alpha_blend": {},
    "binarize": FEW_ROWS,
    "data_free": {"BITS": (4,), "CLAIMED_BITS": 4, "SPARSITIES": (0.5,), "PRETRAINED": ()},
    "incremental": {**ONE_RATE, "EPOCHS": 3},
    "nonlinear": {"ROWS": 48},
    "ocs": {"BITS": (4,)},
    "overq": {"BITS": (4,), "WIDEN": (1.0,)},
    "packed_sparse": {**FEW_ROWS, **ONE_RATE, "EPOCHS": (1, 3), "ROUNDS": 2},
    "riptide": {**FEW_ROWS, **ONE_RATE},
    "ternary": {},
}
SHARED: tuple[tuple[ModuleType, dict[str, Any]], ...] = (
    (few_bits, {**FEW_ROWS, **ONE_RATE, "EPOCHS": 3}),
    (kernels, {"FEWEST_ROUNDS": 1, "SECONDS_A_CASE": 0.0}),
    (nonlinear_times, {"SECONDS": 0.05}),
    (trained, {"TRAIN_ROWS": 96, "OTHER_ROWS": 64, "SETTINGS": replace(trained.SETTINGS, epochs=1)}),
)


class Small:
    """A task with its first samples only."""

    def __init__(self, name: str) -> None:
        self._whole = load_task("digits" if name == "cifar10" else name).load()

    def load(self) -> Splits:
        return replace(
            self._whole,
            train=self._whole.train.head(96),
            validation=self._whole.validation.head(64),
            test=self._whole.test.head(64),
        )


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """One benchmark's module, all sizes small, its results in `tmp_path`."""
    module = import_module(f"benchmarks.methods.{request.param}")
    for place, settings in (*SHARED, (module, TINY[request.param])):
        for name, value in settings.items():
            monkeypatch.setattr(place, name, value)
    seeds = (0, 1) if module is alpha_blend else (0,)  # it needs a deviation
    for place in (module, rows, few_bits):
        monkeypatch.setattr(place, "SEEDS", seeds, raising=False)
    if hasattr(module, "TRAINING"):
        monkeypatch.setattr(module, "TRAINING", replace(module.TRAINING, epochs=3))
    (tmp_path / "methods").mkdir()
    for place in (common, rows):
        monkeypatch.setattr(place, "RESULTS", tmp_path)
    monkeypatch.setattr(trained, "CACHE", tmp_path)
    for place in (rows, trained):
        monkeypatch.setattr(place, "load_task", Small)
    forget(module)
    yield module
    forget(module)


def forget(module: ModuleType) -> None:
    """Nothing read or trained stays in memory."""
    for place in (module, rows, trained):
        for found in vars(place).values():
            if hasattr(found, "cache_clear"):
                found.cache_clear()


@pytest.mark.parametrize("script", TINY, indirect=True)
def test_a_benchmark_writes_its_page_and_is_not_run_twice(
    script: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    script.main()
    page = tmp_path / f"{script.NAME}.md"
    first = page.read_text(encoding="utf-8")
    assert "holds" in first or "does not hold" in first
    assert "nan" not in first
    for name in ("artifact", "score", "trained", "_made"):  # whatever makes networks
        for place in (script, few_bits):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, lambda *_: pytest.fail("made again"))
    script.main()
    assert page.read_text(encoding="utf-8") == first
