"""Help answers at once, every command shows how it is used, and exit codes are documented."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from smidgen import __version__
from smidgen.cli.app import app
from tests.cli.conftest import ENVIRONMENT, Cli

COMMANDS = [(command.name or command.callback.__name__) for command in app.registered_commands]
HEAVY = ("torch", "onnx", "onnxruntime", "optuna", "altair", "sklearn", "numpy", "lightning_fabric")
LIMIT_S = 1.0  # twice what is promised: the machine that tests may be busy


def test_all_commands_are_there() -> None:
    expected = (
        "compress apply report demo inspect check verify export measure bench compare tasks methods targets"
    )
    assert expected.split() == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", ["80", "140"])
def test_every_command_shows_an_example_on_a_line_of_its_own(
    command: str, columns: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", int(columns))
    ran = cli(command, "--help")
    assert ran.code == 0
    lines = [line.strip() for line in ran.out.splitlines()]
    examples = [line for line in lines if line.startswith(f"smidgen {command}")]
    source = next(c.callback.__doc__ for c in app.registered_commands if c.callback.__name__ == command)
    written = [line.strip() for line in source.splitlines() if line.strip().startswith("smidgen ")]
    assert examples == written  # whole: none was wrapped
    assert examples


def test_help_answers_at_once() -> None:
    times = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "smidgen", "--help"], env=ENVIRONMENT, capture_output=True, check=True
        )
        times.append(time.monotonic() - began)
    assert min(times) < LIMIT_S


def test_help_imports_no_framework() -> None:
    code = (
        "import sys; from smidgen.cli.app import app; app(['--help'], standalone_mode=False); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version").out.splitlines()[0] == f"smidgen {__version__}"


@pytest.mark.parametrize("arguments", [["nonsense"], ["compress"], ["compress", "digits", "--max-drop", "x"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], cli: Cli) -> None:
    assert cli(*arguments).code == 2


@pytest.mark.parametrize(
    ("command", "found"),
    [("tasks", "digits"), ("methods", "quantize.affine"), ("targets", "cortex-m4")],
)
def test_lists_name_what_there_is(command: str, found: str, cli: Cli) -> None:
    ran = cli(command)
    assert ran.code == 0
    assert found in ran.out


def test_no_line_of_a_list_exceeds_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = "".join(cli(command).out for command in ("tasks", "methods", "targets"))
    assert max(len(line) for line in out.splitlines()) <= 80
