"""Cross-compiled firmware: sizes read from the ELF file, outputs of an emulated Cortex-M."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CEmitter
from smidgen.errors import BadFile, BadInput, MissingExtra, Unsupported
from smidgen.graph import Graph
from smidgen.graph.cost import element_operations, macs
from smidgen.lower.device import on_device
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.share.codebook import WeightSharing
from smidgen.models import dscnn, lenet, mlp
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware, measure_cross
from smidgen.targets.elf import read_footprint
from smidgen.targets.emulator import Emulated, emulate
from smidgen.targets.latency import modelled_latency
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target
from tests.conftest import require
from tests.integer_networks import integer_network, integers_of, random_integers

M4 = load_target("cortex-m4")


def need(*packages: str) -> None:
    for package in packages:
        require(importlib.util.find_spec(package), package)


def sizes(graph: Graph, folder: Path, device: Target = M4) -> dict[str, float]:
    need("ziglang", "elftools")
    project = CEmitter().emit(graph, device, folder / "project").folder
    return {found.name: found.value for found in measure_cross(project, device)}


def emulated(graph: Graph, x: np.ndarray, folder: Path, target: str = "cortex-m4") -> Emulated:
    need("ziglang", "elftools", "unicorn")
    device = load_target(target)
    project = CEmitter().emit(graph, device, folder / "project").folder
    elf = build_firmware(project, device, folder)
    return emulate(elf, read_manifest(project), device, x)


def test_the_parts_add_up_and_are_measured(tmp_path: Path) -> None:
    need("ziglang", "elftools")
    project = CEmitter().emit(integer_network("int8"), M4, tmp_path / "project").folder
    found = {m.name: m for m in measure_cross(project, M4)}
    assert {m.how for m in found.values()} == {"measured"}
    assert {m.unit for m in found.values()} == {"byte"}
    assert found["flash_bytes"].value == found["code_bytes"].value + found["model_bytes"].value


def test_ram_is_arena_ports_and_reserved_stack(tmp_path: Path) -> None:
    graph = integer_network("int8")
    program = on_device(graph, "stored").program
    least = program.arena_bytes + 64 + 10 + M4.stack_bytes
    assert least <= sizes(graph, tmp_path)["ram_bytes"] <= least + 32


def test_model_bytes_are_the_constants_and_the_layers_arguments(tmp_path: Path) -> None:
    graph = integer_network("very sparse")
    program = on_device(graph, "stored").program
    expected = sum(c.array.nbytes for c in program.constants) + sum(4 * len(c.args) for c in program.calls)
    assert sizes(graph, tmp_path)["model_bytes"] == expected


COMPRESSED = {
    "2 bits": (AffineQuantization(bits=2), 0.0),
    "4 bits": (AffineQuantization(bits=4, symmetric=False), 0.0),
    "mask": (AffineQuantization(), 0.6),
    "gaps": (AffineQuantization(bits=4), 0.8),
    "codebook": (WeightSharing(4, 4), 0.0),
    "sparse codebook": (WeightSharing(4, 4), 0.8),
}


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4"])
def test_compressed_weights_take_less_flash_than_int8_and_no_more_ram(tmp_path: Path, target: str) -> None:
    device, network = load_target(target), lenet.build((12, 12, 1), 10)
    dense = sizes(integers_of(network), tmp_path / "dense", device)
    for name, (quantization, sparsity) in COMPRESSED.items():
        found = sizes(integers_of(network, quantization, sparsity), tmp_path / name, device)
        assert found["flash_bytes"] < dense["flash_bytes"], name
        assert found["ram_bytes"] <= dense["ram_bytes"], name


@pytest.mark.parametrize("name", COMPRESSED)
def test_an_emulated_cortex_m0_computes_the_same_bytes_from_compressed_weights(
    name: str, tmp_path: Path
) -> None:
    graph = integers_of(dscnn.build((12, 8, 1), 4, 0.125), *COMPRESSED[name])
    x = random_integers(graph, 1)
    assert np.array_equal(emulated(graph, x, tmp_path, "cortex-m0").outputs[0], run_integer(graph, x))


def test_expanding_weights_instead_takes_ram(tmp_path: Path) -> None:
    need("ziglang", "elftools")
    graph = integer_network("int4")
    project = CEmitter(weights="expanded").emit(graph, M4, tmp_path / "project").folder
    expanded = {found.name: found.value for found in measure_cross(project, M4)}["ram_bytes"]
    assert expanded > sizes(graph, tmp_path / "stored")["ram_bytes"] + 700


def test_a_wider_network_adds_its_weights_and_no_code(tmp_path: Path) -> None:
    narrow, wide = (
        sizes(integers_of(mlp.build((16,), 4, sizes=(width,))), tmp_path / str(width)) for width in (8, 24)
    )
    assert narrow["code_bytes"] == wide["code_bytes"]
    # Per hidden unit: 16 + 4 weights, a bias of 4, a multiplier of 2 and a shift of 1.
    assert wide["model_bytes"] - narrow["model_bytes"] == 16 * (16 + 4 + 4 + 2 + 1)


def test_the_second_candidate_reuses_compiled_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    first = sizes(integer_network("int8"), tmp_path / "a")
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.o")}
    assert len(made) == 4
    assert sizes(integer_network("int8"), tmp_path / "b") == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.o")} == made


@pytest.mark.parametrize("name", ["sink", "int4", "very sparse", "codebook", "sparse codebook"])
def test_an_emulated_cortex_m4_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    graph = integer_network(name)
    x = random_integers(graph, 1)
    assert np.array_equal(emulated(graph, x, tmp_path).outputs[0], run_integer(graph, x))


def test_a_core_without_long_multiplication_computes_the_same_bytes(tmp_path: Path) -> None:
    graph = integer_network("sink")
    x = random_integers(graph, 1)
    assert np.array_equal(emulated(graph, x, tmp_path, "cortex-m0").outputs[0], run_integer(graph, x))


def test_the_reserved_stack_is_enough(tmp_path: Path) -> None:
    graph = integer_network("sink")
    used = emulated(graph, random_integers(graph, 1), tmp_path).stack_bytes
    assert 0 < used <= M4.stack_bytes // 2


def test_the_latency_model_is_within_its_stated_factor_of_emulated_instructions(tmp_path: Path) -> None:
    graph = integer_network("int8")
    operations = sum(macs(graph).values()) + sum(element_operations(graph).values())
    found = emulated(graph, random_integers(graph, 1), tmp_path)
    assert 2 <= found.total_instructions / operations <= 7  # cortex-m4.toml


def test_modelled_latency_is_labelled_and_doubles_with_half_the_clock() -> None:
    graph = integer_network("int8")
    slow = M4.model_copy(update={"clock_mhz": M4.clock_mhz / 2})
    fast_ms, slow_ms = modelled_latency(graph, M4), modelled_latency(graph, slow)
    assert (fast_ms.how, fast_ms.unit) == ("modelled", "ms")
    assert slow_ms.value == pytest.approx(2 * fast_ms.value)


def test_modelled_latency_of_one_linear_layer_is_the_formula() -> None:
    graph = integers_of(mlp.build((16,), 4, sizes=()))
    assert modelled_latency(graph, M4).value == pytest.approx(64 * M4.cycles_per_mac / (M4.clock_mhz * 1e3))


def test_modelled_latency_counts_the_weights_that_a_kernel_unpacks() -> None:
    network = mlp.build((16,), 4, sizes=())
    eight, four = (integers_of(network, AffineQuantization(bits=bits)) for bits in (8, 4))
    assert modelled_latency(four, M4).value == pytest.approx(2 * modelled_latency(eight, M4).value)


def test_a_host_has_no_latency_model() -> None:
    with pytest.raises(Unsupported, match="Measure the latency"):
        modelled_latency(integer_network("int8"), load_target("x86-64"))


def test_a_host_can_not_be_cross_compiled_for(tmp_path: Path) -> None:
    project = CEmitter().emit(integer_network("int8"), M4, tmp_path / "project").folder
    with pytest.raises(BadInput, match="a microcontroller is needed"):
        measure_cross(project, load_target("x86-64"))


def test_a_missing_compiler_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("smidgen.targets.cross.version", not_installed)
    project = CEmitter().emit(integer_network("int8"), M4, tmp_path / "project").folder
    with pytest.raises(MissingExtra, match=r"smidgen\[mcu\]"):
        measure_cross(project, M4)


def test_a_file_that_is_no_elf_is_refused(tmp_path: Path) -> None:
    need("elftools")
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"not an ELF file, but long enough to have a header of that size in it")
    with pytest.raises(BadFile, match="not an ELF file"):
        read_footprint(path, "model")
