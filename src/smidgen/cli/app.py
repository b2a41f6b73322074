"""The `smidgen` program: its commands, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import typer
from rich.console import Console

from smidgen import __version__
from smidgen.cli import artifacts, lists, search
from smidgen.errors import SmidgenError

EPILOG = """
Exit codes: 0 done · 1 unexpected error · 2 wrong usage · 3 bad input · 4 the target can't do it ·
5 nothing fits the budget · 6 bad file · 7 outputs differ · 8 an optional package is missing ·
130 interrupted (everything found so far is kept).
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
for module in (search, artifacts, lists):
    for command in module.COMMANDS:
        app.command()(command)


@app.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Makes a trained network fit the device you have, and proves it on the artifact."""
    if version:
        typer.echo(f"smidgen {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; expected errors become one red line and their exit code."""
    try:
        app()
    except SmidgenError as problem:
        _complain(str(problem))
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted; everything completed so far is kept")
        sys.exit(130)
    except Exception as problem:
        if os.environ.get("SMIDGEN_DEBUG"):
            traceback.print_exc()
        _complain(
            f"unexpected {type(problem).__name__}: {problem}. Set SMIDGEN_DEBUG=1 for the details and please report it."
        )
        sys.exit(1)


def _complain(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {text.replace('[', chr(92) + '[')}")
