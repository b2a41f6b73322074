"""SMIDGEN_ISA: one instruction set forced, or one clear error."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from smidgen.cli.app import app
from smidgen.errors import BadInput
from smidgen.kernels import native
from smidgen.run.isa import VARIABLE, chosen_isa


def test_the_best_instruction_set_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chosen_isa() == native().supported_isas()[-1]


@pytest.mark.parametrize("isa", native().supported_isas())
def test_an_instruction_set_can_be_forced(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, isa)
    assert chosen_isa() == isa


@pytest.mark.parametrize("bad", ["", "AVX512", "sse9"])
def test_an_unknown_instruction_set_is_one_clear_error(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, bad)
    with pytest.raises(BadInput, match=f"SMIDGEN_ISA: '{bad}', but this processor runs ref"):
        chosen_isa()


def test_the_version_names_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "ref")
    assert "kernels: ref" in CliRunner().invoke(app, ["--version"]).output
