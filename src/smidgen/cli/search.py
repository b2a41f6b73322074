"""The main job: compress, apply one recipe, print a report again, the demo."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from smidgen.api import Compressed
    from smidgen.data.dataset import Splits
    from smidgen.graph import Graph
    from smidgen.targets.target import Target

SOURCE = typer.Argument(
    help="A built-in task (see smidgen tasks), or a trained model: .onnx, .pt2, package.module:function."
)
DATA = typer.Option(
    None,
    "--data",
    help="x.npz (arrays x, y), .parquet, a folder of class folders with images or recordings, or "
    "package.module:function. Options follow a ?, as in d.parquet?image=img&label=cls. Not for tasks.",
)
METRIC = typer.Option(
    "",
    "--metric",
    help="accuracy, balanced_accuracy, f1, auc; r2, rmse, mse, mae; package.module:function. "
    "Default: accuracy for integer labels, r2 (percent) for float targets.",
)
LOSS = typer.Option(
    "", "--loss", help="cross_entropy; mse, mae; package.module:function. Default: by the targets."
)
STATE = typer.Option(
    [],
    "--state",
    help="INPUT=OUTPUT: an output that is given again with the next chunk (repeatable). "
    "Default: told by names and shapes.",
)
TARGET = typer.Option("x86-64", "--target", "-t", help="A device (see smidgen targets), or a .toml file.")
FILES = {
    "report.html": "the frontier and every candidate; open it in a browser",
    "report.json": "the same for programs",
    "frontier.png": "the frontier as a picture",
    "chosen/model.smg": "the chosen network",
    "chosen/model.golden": "what it computes, to verify it",
    "chosen/model.onnx": "the same integers as ONNX",
    "chosen/c": "the same as a C99 project that tests itself",
    "chosen/recipe.yaml": "how it was made",
}


def compress(
    source: str = SOURCE,
    data: str | None = DATA,
    target: str = TARGET,
    budget: str = typer.Option(
        "", "--budget", "-b", help="Limits such as flash=64KB,ram=8KB,latency=5ms,file=9KB,energy=5uJ."
    ),
    max_drop: float | None = typer.Option(
        None,
        "--max-drop",
        help="Largest loss on validation: points (default 1), or in the unit of rmse, mse, mae (no default).",
    ),
    strict_drop: bool = typer.Option(
        False, "--strict-drop", help="Hold the upper end of the loss's 95% interval to --max-drop."
    ),
    time: str | None = typer.Option(
        None, "--time", help="How long to search: 90s, 5m, 1h. Default 5m, none with --trials."
    ),
    trials: int | None = typer.Option(None, "--trials", help="How many candidates to build."),
    seeds: int = typer.Option(3, "--seeds", help="Training seeds for points of the frontier."),
    baselines: bool = typer.Option(
        True,
        "--baselines/--no-baselines",
        help="Also train narrower networks, a linear model and trees to compare with.",
    ),
    workers: int | None = typer.Option(
        None,
        "--workers",
        envvar="SMIDGEN_WORKERS",
        help="How many candidates to build at once. Default: physical cores, at most 4.",
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="Run folder. Default runs/NAME."),
    method: list[str] = typer.Option([], "--method", help="Search only over these steps (repeatable)."),
    sampler: str = typer.Option("nsga2", "--sampler", help="What proposes recipes: nsga2, tpe or random."),
    metric: str = METRIC,
    loss: str = LOSS,
    state: list[str] = STATE,
) -> None:
    """Find the smallest networks that keep the accuracy, as measured artifacts on a frontier.

    Stop with Ctrl-C at any time; the same command goes on where it stopped.

    Options of --data, after a ? and joined by &: columns of a table image, audio, label, group, split (told
    by their names if not given); resize=32x32, channels=1 or 3, layout=chw for images; samples=16000 to cut
    or zero-pad recordings. Nothing is resized, cut or converted unless asked for. Without --data, weights
    alone are compressed and accuracy stays unknown.

    A streaming model, whose outputs are in part the states that it takes with the next chunk, is compressed
    over whole streams: samples are [chunks, ...]. smidgen export --stream gives the result chunk by chunk.

    Examples:

      smidgen compress watch -t cortex-m4 -b flash=64KB,ram=48KB --time 5m

      smidgen compress model.onnx --data data.npz --max-drop 0.5

      smidgen compress model.pt2 --data mypackage.data:load --trials 50

      smidgen compress model.onnx --data "photos?resize=32x32" --metric f1
    """
    from rich.console import Console

    from smidgen import api
    from smidgen.cli.progress import Live
    from smidgen.report.terminal import print_report
    from smidgen.search.workers import default_workers

    with Live(Console(stderr=True)) as live:
        done = api.compress(
            source,
            data,
            target=target,
            budget=budget,
            max_drop=max_drop,
            metric=metric,
            loss=loss,
            strict_drop=strict_drop,
            time=time,
            trials=trials,
            seeds=seeds,
            workers=default_workers() if workers is None else workers,
            baselines=baselines,
            out=out,
            methods=method,
            sampler=sampler,
            states=state,
            say=live.say,
            progress=live.search,
            report=live.step,
            command=["smidgen", *sys.argv[1:]],
        )
    console = Console()
    print_report(done.report, console, layers=False)
    _print_files(done, _measured_on(source, data, metric), target, console)
    if done.result.interrupted:
        raise typer.Exit(130)
    done.result.require_chosen()


def _measured_on(source: str, data: str | None, metric: str) -> list[str]:
    """The options by which `smidgen measure` judges as this run did."""
    from smidgen.tasks.task import is_task

    found = ["--data", data] if data else ["--task", source] if is_task(source) else []
    return [*found, "--metric", metric] if metric and found else found


def _print_files(done: Compressed, measured_on: list[str], target: str, console: Console) -> None:
    """What lies in the run folder, and what to do with it."""
    console.print(f"\nFiles in {done.folder}/", style="bold", highlight=False, markup=False)
    for name, what in FILES.items():
        if (done.folder / name).exists():
            console.print(f"  {name:<19} {what}", highlight=False, markup=False)
    model = done.folder / "chosen" / "model.smg"
    if not model.exists():
        return
    console.print("Next", style="bold")
    verify = [["verify"]] if model.with_suffix(".golden").exists() else []
    for arguments in (["inspect"], *verify, ["measure", *measured_on, "--target", target]):
        line = shlex.join(["smidgen", arguments[0], str(model), *arguments[1:]])
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def demo(
    time: str = typer.Option("3m", "--time", help="How long to search."),
    out: Path = typer.Option(Path("runs/demo"), "--out", "-o", help="Run folder."),
) -> None:
    """Show the main job on a built-in task: a smartwatch exercise recogniser onto a Cortex-M4.

    Example:

      smidgen demo --time 1m
    """
    compress(
        source="watch",
        data=None,
        target="cortex-m4",
        budget="flash=64KB,ram=48KB",
        max_drop=1.0,
        strict_drop=False,
        time=time,
        trials=None,
        seeds=3,
        workers=None,
        baselines=True,
        out=out,
        method=[],
        sampler="nsga2",
        metric="",
        loss="",
    )


def apply(
    recipe: Path = typer.Argument(help="A recipe file (YAML), e.g. chosen/recipe.yaml of a run."),
    source: str = SOURCE,
    data: str | None = DATA,
    target: str = TARGET,
    metric: str = METRIC,
    loss: str = LOSS,
    seed: int = typer.Option(0, "--seed", min=0, help="Training seed."),
    out: Path = typer.Option(Path("out"), "--out", "-o", help="Folder for the artifact."),
) -> None:
    """Apply one recipe, write the artifact and measure it, without searching.

    Examples:

      smidgen apply runs/watch/chosen/recipe.yaml watch --target cortex-m4

      smidgen apply recipe.yaml model.onnx --data data.npz -o out
    """
    from rich.console import Console

    from smidgen import api
    from smidgen.api.packages import require_packages
    from smidgen.cli.progress import Live
    from smidgen.lower import artifact_class, lower
    from smidgen.methods import Context
    from smidgen.methods.recipe import read_recipe
    from smidgen.targets import load_target

    device, steps = load_target(target), read_recipe(recipe)
    require_packages(device)
    with Live(Console(stderr=True)) as live:
        subject = api.prepare(source, data, out, None, live.step, metric, loss)
        given = None if subject.data.synthetic else subject.data
        ctx = Context(given, subject.graph, seed, live.step)
        lowered = lower(steps.apply(subject.graph, ctx))
        _require_fit(lowered, device)
        files = api.write_artifact(lowered, steps, device, subject.data.validation, out)
    console = Console()
    for note in ctx.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    _print_measurements(lowered, files[0], subject.data, device, console)
    written = ", ".join(path.name for path in files)
    console.print(f"{out}/: {written} ({artifact_class(lowered)})", highlight=False, markup=False)


def _require_fit(graph: Graph, device: Target) -> None:
    """Raise Unsupported, before anything is written, if the device can't run the network."""
    from smidgen.emit.c import CEmitter

    if device.kind != "host":
        CEmitter().require(graph, device)


def _print_measurements(graph: Graph, file: Path, data: Splits, device: Target, console: Console) -> None:
    from smidgen import api
    from smidgen.cli.tables import measurement_table
    from smidgen.data.metrics import metric_for
    from smidgen.measure.accuracy import score
    from smidgen.measure.artifact import measurements_of

    judge, part = metric_for(data), data.validation
    own = score(judge, judge.predictions(api.open(file).outputs(part.x)), part.y)
    on = "random inputs (not accuracy)" if data.synthetic else "validation"
    found = [own, *measurements_of(graph, file, device)]
    console.print(measurement_table(found, f"{file} on {device.name}, {judge.name} on {on}"))


def report(
    folder: Path = typer.Argument(help="A run folder."),
    layers: bool = typer.Option(True, help="Also print the layers of the chosen artifact."),
) -> None:
    """Print a run's report again and rebuild its HTML page from report.json.

    Example:

      smidgen report runs/watch
    """
    from smidgen.report.html import write_html
    from smidgen.report.model import read_report
    from smidgen.report.terminal import print_report

    document = read_report(folder / "report.json")
    write_html(document, folder / "report.html")
    print_report(document, layers=layers)


COMMANDS: tuple[Any, ...] = (compress, apply, report, demo)
