"""The `smidgen` program: its commands, and how errors become one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from smidgen import __version__
from smidgen.cli import artifacts, bench, compare, lists, measuring, search
from smidgen.errors import MissingExtra, SmidgenError

INTERRUPTED = 130
EPILOG = """
Exit codes: 0 done · 1 unexpected error · 2 wrong usage · 3 bad input ·
4 the target can't do it · 5 nothing fits the budget · 6 bad file ·
7 outputs differ · 8 a package is missing · 130 interrupted, all work kept
"""

app = typer.Typer(
    name="smidgen",
    help="Makes a trained network fit the device you have, and proves it on the artifact.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (search, artifacts, measuring, bench, compare, lists):
    for command in module.COMMANDS:
        app.command()(command)


@app.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Makes a trained network fit the device you have, and proves it on the artifact."""
    if version:
        from smidgen.run.isa import chosen_isa

        typer.echo(f"smidgen {__version__}")
        typer.echo(f"kernels: {chosen_isa()}")
        raise typer.Exit


def run() -> None:
    """Run the command line; expected errors become one red line and their exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × or → is no reason to stop
    try:
        app(prog_name="smidgen")
    except SmidgenError as problem:
        _complain(str(problem))
        sys.exit(problem.exit_code)
    except (SystemExit, KeyboardInterrupt) as leaving:
        if isinstance(leaving, SystemExit) and leaving.code != INTERRUPTED:
            raise
        _complain("interrupted. What was completed is kept; the same command goes on from there.")
        sys.exit(INTERRUPTED)
    except Exception as problem:
        _unexpected(problem)


def _unexpected(problem: Exception) -> NoReturn:
    """One line and an exit code for what no one thought of; all of it with SMIDGEN_DEBUG=1."""
    from smidgen.api.packages import extra_of

    if os.environ.get("SMIDGEN_DEBUG"):
        traceback.print_exc()
    if isinstance(problem, ModuleNotFoundError) and (known := extra_of(problem.name or "")):
        missing = MissingExtra("this command", *known)
        _complain(str(missing))
        sys.exit(missing.exit_code)
    what = f"unexpected {type(problem).__name__}: {problem}".rstrip(".")
    _complain(f"{what}. Set SMIDGEN_DEBUG=1 for the details and please report it.")
    sys.exit(1)


def _complain(text: str) -> None:
    Console(stderr=True).print(Text.assemble(("error:", "bold red"), " ", text), soft_wrap=True)
