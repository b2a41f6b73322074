"""Optional packages that a job will need, asked for before it begins rather than after half an hour."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from smidgen.errors import MissingExtra

if TYPE_CHECKING:
    from smidgen.targets.target import Target

# What is imported -> what pip calls it.
COMPRESS: Mapping[str, str] = {
    "torch": "torch",
    "onnx": "onnx",
    "optuna": "optuna",
    "lightning_fabric": "lightning-fabric",
    "sklearn": "scikit-learn",
    "altair": "altair",
    "vl_convert": "vl-convert-python",
}
DATA: Mapping[str, str] = {"pyarrow": "pyarrow", "PIL": "pillow", "soundfile": "soundfile"}
MCU: Mapping[str, str] = {"ziglang": "ziglang", "elftools": "pyelftools", "unicorn": "unicorn"}
TASKS: Mapping[str, str] = {"seglearn": "seglearn"}  # and all of DATA


def require_packages(device: Target) -> None:
    """Raise MissingExtra naming the first package that compressing for `device` lacks."""
    _require("compressing a network", COMPRESS, "compress")
    if device.kind != "host":
        _require(f"building firmware for {device.name}", MCU, "mcu")


def extra_of(module: str) -> tuple[str, str] | None:
    """(package, extra) of a module that could not be imported; None if it belongs to no extra."""
    top = module.partition(".")[0]
    for packages, extra in ((COMPRESS, "compress"), (MCU, "mcu"), (DATA, "data"), (TASKS, "tasks")):
        if top in packages:
            return packages[top], extra
    return None


def _require(feature: str, packages: Mapping[str, str], extra: str) -> None:
    for module, package in packages.items():
        if find_spec(module) is None:
            raise MissingExtra(feature, package, extra)
