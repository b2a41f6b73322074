"""`smidgen check`: exit codes, where memory goes, what would help, JSON."""

from __future__ import annotations

import json

from tests.cli import tiny
from tests.cli.conftest import Cli


def test_what_fits_is_exit_code_0(user: tiny.Tiny, cli: Cli) -> None:
    ran = cli("check", user.onnx, "--target", "cortex-m4")
    assert ran.code == 0
    assert "nothing stands in the way on cortex-m4" in ran.out


def test_memory_that_does_not_fit_is_exit_code_4_with_the_tensors_alive(user: tiny.Tiny, cli: Cli) -> None:
    ran = cli("check", user.onnx, "--target", "cortex-m4", "--budget", "ram=1100B")
    assert ran.code == 4
    for part in ("Bytes alive in the arena", "peak", "Alive at the peak", "What would bring how much"):
        assert part in ran.out


def test_json_has_the_same_and_the_bytes_add_up(user: tiny.Tiny, cli: Cli) -> None:
    ran = cli("check", user.onnx, "--target", "cortex-m4", "--budget", "flash=100B", "--json")
    assert ran.code == 4
    found = json.loads(ran.out)
    memory = found["memory"]
    assert not found["fits"]
    assert found["limits"]["flash_bytes"] == 100
    assert memory["ram_bytes"] == memory["arena_bytes"] + memory["port_bytes"] + memory["stack_bytes"]
    assert memory["model_bytes"] == sum(layer["nbytes"] for layer in memory["layers"])
    assert min(remedy["model_bytes"] for remedy in found["remedies"]) < memory["model_bytes"]


def test_a_host_has_no_memory_map(user: tiny.Tiny, cli: Cli) -> None:
    ran = cli("check", user.onnx, "--target", "generic-c", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["memory"] is None
