"""Target descriptions: the built-in ones are complete, a user's mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from smidgen.errors import BadInput
from smidgen.targets import Target, load_target, target_names

MICROCONTROLLERS = ["cortex-m0", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7", "rv32imc"]
COMPUTERS = ["cortex-a53", "phone", "pi-3", "pi-zero"]
DEVICES = sorted([*MICROCONTROLLERS, *COMPUTERS])


def test_the_built_in_targets_are_these() -> None:
    assert target_names() == sorted([*DEVICES, "generic-c", "x86-64"])


@pytest.mark.parametrize("name", target_names())
def test_a_built_in_target_is_named_as_its_file(name: str) -> None:
    assert load_target(name).name == name


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_states_where_its_figures_come_from(name: str) -> None:
    assert load_target(name).source
    assert load_target(name).energy_source


@pytest.mark.parametrize(
    ("name", "ram_bytes"),
    [
        ("cortex-m0", 32 << 10),
        ("cortex-m4", 128 << 10),
        ("cortex-m7", 384 << 10),
        ("pi-zero", 512 << 20),
        ("pi-3", 1 << 30),
        ("phone", 4 << 30),
    ],
)
def test_the_device_table_has_the_memory_of_its_source(name: str, ram_bytes: int) -> None:
    assert load_target(name).ram_bytes == ram_bytes


@pytest.mark.parametrize("name", DEVICES)
def test_flash_and_ram_of_a_device_do_not_overlap(name: str) -> None:
    device = load_target(name)
    assert device.flash_bytes is not None
    assert device.ram_bytes is not None
    low, high = sorted([(device.flash_origin, device.flash_bytes), (device.ram_origin, device.ram_bytes)])
    assert low[0] + low[1] <= high[0]


def test_hosts_are_compared_by_file_and_microcontrollers_by_flash() -> None:
    assert load_target("x86-64").size_axis == "file_bytes"
    assert load_target("cortex-m4").size_axis == "flash_bytes"


@pytest.mark.parametrize("name", ["cortex-m5", "", "../targets/cortex-m4", "missing.toml"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput, match=r"no such target.*cortex-m0, .*x86-64"):
        load_target(name)


def test_a_users_file_describes_a_target(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text('name = "board"\nkind = "host"\nram_bytes = 1000\n')
    assert load_target(path) == Target(name="board", kind="host", ram_bytes=1000)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('name = "b"\nkind = "toaster"', "kind: Input should be 'host', 'microcontroller' or 'computer'"),
        ('name = "b"\nkind = "host"\nram = 3', "ram: Extra inputs are not permitted"),
        ('name = "b"\nkind = "host"\nram_bytes = -3', "ram_bytes: Input should be greater than 0"),
        (
            'name = "b"\nkind = "microcontroller"\nram_bytes = 9',
            "a microcontroller needs flash_bytes, clock_mhz",
        ),
        (
            'name = "b"\nkind = "computer"\nisa = "x86-64"\ncpu = "x"\nclock_mhz = 1\n'
            "flash_bytes = 1\nram_bytes = 1\ncycles_per_mac = 1",
            "firmware is built for thumb, arm, aarch64 and riscv32, not for x86-64",
        ),
        ('name = "b; rm"\nkind = "host"', "name: String should match pattern"),
        ("name = ", "not readable as TOML"),
        ("\0", "not readable as TOML"),
    ],
)
def test_a_malformed_file_is_one_clear_error(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_target(path)
    assert found in str(caught.value)
    assert "smidgen knows cortex-a53" in str(caught.value)


def test_a_core_name_can_not_carry_compiler_options() -> None:
    fields = load_target("cortex-m4").model_dump()
    with pytest.raises(ValidationError, match="cpu"):
        Target.model_validate(fields | {"cpu": "cortex_m4 -o /etc/passwd"})
