"""Target descriptions: the built-in ones are complete, a user's mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from smidgen.errors import BadInput
from smidgen.targets import Target, load_target, target_names

MICROCONTROLLERS = ["cortex-m0", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m7"]


def test_the_built_in_targets_are_these() -> None:
    assert target_names() == [*MICROCONTROLLERS, "generic-c", "x86-64"]


@pytest.mark.parametrize("name", target_names())
def test_a_built_in_target_is_named_as_its_file(name: str) -> None:
    assert load_target(name).name == name


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_a_microcontroller_states_where_its_figures_come_from(name: str) -> None:
    assert "data sheet" in load_target(name).source or "specification" in load_target(name).source


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
        ('name = "b"\nkind = "toaster"', "kind: Input should be 'host' or 'microcontroller'"),
        ('name = "b"\nkind = "host"\nram = 3', "ram: Extra inputs are not permitted"),
        ('name = "b"\nkind = "host"\nram_bytes = -3', "ram_bytes: Input should be greater than 0"),
        (
            'name = "b"\nkind = "microcontroller"\nram_bytes = 9',
            "a microcontroller needs flash_bytes, clock_mhz",
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
    assert "smidgen knows cortex-m0" in str(caught.value)


def test_a_core_name_can_not_carry_compiler_options() -> None:
    fields = load_target("cortex-m4").model_dump()
    with pytest.raises(ValidationError, match="cpu"):
        Target.model_validate(fields | {"cpu": "cortex_m4 -o /etc/passwd"})
