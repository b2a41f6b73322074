"""Debugging lost accuracy: two networks layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from smidgen.report.comparison import Comparison


def compare(
    a: str = typer.Argument(
        help="What is right: a model (.onnx, .pt2), a task, or a .smg file.", metavar="A"
    ),
    b: str = typer.Argument(help="What lost accuracy: .smg, our integer .onnx, a C folder.", metavar="B"),
    data: str | None = typer.Option(
        None, "--data", help="As in compress, or the name of a task. Not needed where A is a task."
    ),
    samples: int = typer.Option(256, "--samples", help="Samples of the validation split to run."),
    fixes: int = typer.Option(5, "--fixes", help="How many fixes to list; 0 simulates none."),
    recipe: Path | None = typer.Option(
        None, "--recipe", help="How B was made. Default: recipe.yaml beside it, else read off its weights."
    ),
    metric: str = typer.Option("", "--metric", help="As in compress."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Also write an HTML page."),
) -> None:
    """Find where the accuracy went: A and B layer by layer on the same data, and what would mend it.

    Two integer artifacts are compared bit for bit. Else every layer has two ratios of signal to noise: end to
    end, and alone, fed with A's true inputs. Fixes are simulated; their gains are predictions for --data.

    Examples:

      smidgen compare model.onnx model.smg --data data.npz --out page.html

      smidgen compare watch runs/watch/chosen/model.smg

      smidgen compare old.smg new.smg --data data.npz
    """
    from rich.console import Console

    from smidgen import api
    from smidgen.cli.progress import Live

    with Live(Console(stderr=True)) as live:
        found = api.compare(
            a,
            b,
            data,
            samples=samples,
            fixes=fixes,
            recipe=recipe,
            metric=metric,
            out=out,
            report=live.step,
        )
    _print(found, Console())
    if out is not None:
        Console().print(f"{out}: the page", highlight=False, markup=False, soft_wrap=True)
    if found.interrupted:
        raise typer.Exit(130)


def _print(found: Comparison, console: Console) -> None:
    from smidgen.report.comparison import sentences

    first, *rest = sentences(found)
    console.print(first, style="bold", highlight=False, markup=False)
    for line in rest:
        console.print(f"· {line}", highlight=False, markup=False)
    console.print(_layers(found))
    for gap in found.matches.unaligned:
        console.print(f"not compared: {gap.layer} in {gap.where}: {gap.reason}", style="dim", markup=False)
    if found.tried:
        _print_fixes(found, console)
    for note in found.notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)


def _layers(found: Comparison) -> Table:
    from rich.text import Text

    from smidgen.cli.tables import table
    from smidgen.report.comparison import format_db, format_fall

    exact = found.matches.exact
    columns = ["end to end", "differing" if exact else "alone", "fall", "channel"]
    made = table("Signal to noise, B against A", "layer", "operator", *columns, right=columns, whole=columns)
    for layer in found.matches.layers:
        counted = "–" if layer.differing is None else f"{layer.differing:,}"
        made.add_row(
            Text(layer.title),
            layer.op,
            format_db(layer.sqnr_db),
            counted if exact else format_db(layer.alone_db),
            format_fall(layer),
            str(layer.worst_channel),
            style="bold red" if layer is found.matches.divergent else "",
        )
    return made


def _print_fixes(found: Comparison, console: Console) -> None:
    from smidgen.report.comparison import format_gain, format_points

    tried = f"{found.tried} changes of the recipe simulated"
    if not found.fixes:
        console.print(f"Fixes: none of {tried} brings anything", style="bold")
        return
    console.print(f"Fixes, predicted gains ({tried}, one at a time)", style="bold", highlight=False)
    for number, fix in enumerate(found.fixes, start=1):
        points = format_points(found, fix)
        gains = [format_gain(fix), *([points] if points != "–" else []), f"{fix.more_bytes:+,} B of weights"]
        console.print(f"  {number}. {', '.join(gains)}: {fix.what}", highlight=False, markup=False)
        line = f"     {fix.line}   # {fix.place}"
        console.print(line, style="cyan", highlight=False, markup=False, soft_wrap=True)
    console.print("  Put a line into the recipe, then: smidgen apply recipe.yaml …", highlight=False)


COMMANDS: tuple[Any, ...] = (compare,)
