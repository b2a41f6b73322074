"""Nothing that a lowered transformer does, stores or calls on a device has to do with real numbers."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from smidgen.emit.c import CEmitter
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.lower.schedule import schedule
from smidgen.measure.type_trace import float_constants, float_operations
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.nonlinear import NonlinearQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.models import transformer
from smidgen.run.native import native_plan
from smidgen.targets.cross import build_firmware
from smidgen.targets.elf import read_image
from smidgen.targets.emulator import emulate
from smidgen.targets.project import read_manifest
from smidgen.targets.registry import load_target
from tests.conftest import require
from tests.integer_networks import random_integers
from tests.networks import noise_like, small_gru

REAL_HELPERS = re.compile(r"__aeabi_[fd]|__aeabi_\w+2[fd]$|__\w+[sd]f\d?$|sqrt|exp")


@cache
def whole() -> Graph:
    graph = transformer.build((6, 5), 4, width=0.25)
    recipe = Recipe((NonlinearQuantization(), AffineQuantization()))
    return lower(recipe.apply(graph, Context(noise_like(graph, 64, 4), graph)))


def test_a_transformer_is_integers_throughout() -> None:
    assert float_operations(whole()) == ()
    assert float_constants(schedule(whole())) == ()


def test_real_numbers_are_found_wherever_they_are() -> None:
    graph = small_gru()
    found = float_operations(lower(graph))
    assert any("computes with real numbers" in line for line in found)
    assert any("stores" in line for line in found)
    partly = AffineQuantization().apply(graph, Context(noise_like(graph), graph))
    scan = next(node for node in partly.nodes if node.op == "scan")
    bare = partly.values[scan.output]
    unquantized = partly.with_values({scan.output: type(bare)(bare.shape)})
    assert any(line.startswith(scan.name) for line in float_operations(lower(unquantized)))


def test_a_device_without_a_float_unit_needs_no_help_and_agrees(tmp_path: Path) -> None:
    """A Cortex-M0 computes real numbers by library calls alone: none is linked."""
    for package in ("ziglang", "unicorn", "elftools"):
        require(find_spec(package), package)
    target = load_target("cortex-m0")
    x = random_integers(whole(), 2)
    CEmitter().emit(whole(), target, tmp_path / "c")
    elf = build_firmware(tmp_path / "c", target, tmp_path)
    assert [s.name for s in read_image(elf).symbols if REAL_HELPERS.search(s.name)] == []
    ran = emulate(elf, read_manifest(tmp_path / "c"), target, [x])
    np.testing.assert_array_equal(ran.outputs[0], native_plan(whole()).run(x))
