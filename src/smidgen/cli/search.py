"""The main job: compress, apply one recipe, print a report again, the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

SOURCE = typer.Argument(help="A built-in task (smidgen tasks), or a trained model: .onnx, .pt2.")
DATA = typer.Option(None, "--data", help="x.npz (arrays x, y) or package.module:function. Not for tasks.")
TARGET = typer.Option("x86-64", "--target", "-t", help="A device (smidgen targets) or the path of a .toml.")


def compress(
    source: str = SOURCE,
    data: str | None = DATA,
    target: str = TARGET,
    budget: str = typer.Option(
        "", "--budget", "-b", help="Limits, e.g. flash=64KB,ram=48KB,latency=10ms,file=20KB."
    ),
    max_drop: float = typer.Option(1.0, "--max-drop", help="Largest loss of validation accuracy, in points."),
    time: str | None = typer.Option(None, "--time", help="How long to search: 90s, 5m, 1h. Default 5m."),
    trials: int | None = typer.Option(None, "--trials", help="How many candidates to build."),
    seeds: int = typer.Option(3, "--seeds", help="Training seeds for points of the frontier."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Run folder (default runs/NAME). The same command goes on."
    ),
    method: list[str] = typer.Option([], "--method", help="Search only over these steps (repeatable)."),
) -> None:
    """Find the smallest networks that keep the accuracy, as measured artifacts on a frontier.

    Examples:

      smidgen compress watch --target cortex-m4 --budget flash=64KB,ram=48KB --max-drop 1

      smidgen compress model.onnx --data data.npz --target x86-64 --time 10m

    Stop with Ctrl-C at any time; the same command goes on where it stopped.
    """
    from rich.console import Console

    from smidgen import api
    from smidgen.cli.progress import Live
    from smidgen.report.terminal import print_report

    console = Console()
    with Live(console) as live:
        done = api.compress(
            source,
            data,
            target=target,
            budget=budget,
            max_drop=max_drop,
            time=time,
            trials=trials,
            seeds=seeds,
            out=out,
            methods=method,
            progress=live.search,
            report=live.step,
            command=["smidgen", *sys.argv[1:]],
        )
    print_report(done.report, console, layers=False)
    console.print(
        f"[bold]{done.folder}/[/]  report.html  report.json  frontier.png  chosen/", highlight=False
    )
    done.result.require_chosen()


def demo(time: str = typer.Option("3m", "--time", help="How long to search.")) -> None:
    """Show the main job on a built-in task: a smartwatch exercise recogniser onto a Cortex-M4.

    Example: smidgen demo --time 1m
    """
    compress("watch", None, "cortex-m4", "flash=64KB,ram=48KB", 1.0, time, None, 3, Path("runs/demo"), [])


def apply(
    recipe: Path = typer.Argument(help="A recipe file (YAML), e.g. chosen/recipe.yaml of a run."),
    source: str = SOURCE,
    data: str | None = DATA,
    target: str = TARGET,
    seed: int = typer.Option(0, "--seed"),
    out: Path = typer.Option(Path("out"), "--out", "-o", help="Folder for the artifact."),
) -> None:
    """Apply one recipe and write the artifact, without searching.

    Example: smidgen apply recipe.yaml watch --target cortex-m4 -o out
    """
    from rich.console import Console

    from smidgen import api
    from smidgen.cli.progress import Live
    from smidgen.emit.smg import SmgEmitter
    from smidgen.errors import BadInput
    from smidgen.lower import artifact_class, lower
    from smidgen.measure.accuracy import accuracy
    from smidgen.methods import Context, Recipe
    from smidgen.targets import load_target

    device = load_target(target)
    if not recipe.is_file():
        raise BadInput(
            str(recipe), "no such file", "a recipe file is needed", "See docs/METHODS.md for the steps"
        )
    steps = Recipe.from_yaml(recipe.read_text(encoding="utf-8"))
    console = Console()
    with Live(console) as live:
        subject = api.prepare(source, data, out, None, live.step)
        ctx = Context(subject.data, subject.graph, seed, live.step)
        lowered = lower(steps.apply(subject.graph, ctx))
    artifact = SmgEmitter().emit(lowered, load_target("generic-c"), out)
    part = subject.data.validation
    found = accuracy(api.network(lowered).predict(part.x), part.y)
    for note in ctx.notes:
        console.print(f"[yellow]note:[/] {note}")
    console.print(
        f"{artifact.files[0]}: {artifact.nbytes:,} bytes, {artifact_class(lowered)}, "
        f"validation accuracy {found.value:.2f}% (measured on the artifact's integers)",
        highlight=False,
    )


def report(
    folder: Path = typer.Argument(help="A run folder."),
    layers: bool = typer.Option(True, help="Also print the layers of the chosen artifact."),
) -> None:
    """Print a run's report again and rebuild its HTML page from report.json.

    Example: smidgen report runs/watch
    """
    from smidgen.report.html import write_html
    from smidgen.report.model import read_report
    from smidgen.report.terminal import print_report

    document = read_report(folder / "report.json")
    write_html(document, folder / "report.html")
    print_report(document, layers=layers)


COMMANDS: tuple[Any, ...] = (compress, apply, report, demo)
