"""`smidgen bench`: how fast artifacts are, against what a user would run instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from smidgen.api.benching import Bench
    from smidgen.measure.ceilings import Ceilings
    from smidgen.measure.contender import Contender
    from smidgen.measure.roofline import LayerTime

GIGA = 1e9


def bench(
    artifacts: list[Path] = typer.Argument(help=".smg files, .onnx files, folders of C projects."),
    batch: int = typer.Option(1, "--batch", min=1, max=4096, help="Samples in one call."),
    seconds: float = typer.Option(5.0, "--time", min=0.1, max=3600, help="Seconds to time, all together."),
    threads: int = typer.Option(1, "--threads", min=1, max=256, help="Threads of each, C projects aside."),
    roofline: bool = typer.Option(False, "--roofline", help="Each layer against what this processor can do."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Time artifacts against ONNX Runtime (fp32, int8) and LiteRT (int8) with the same network.

    All take turns in one process, each on as many threads; medians and interquartile ranges of calls from
    Python. A speedup is the median of ratios within a round: below 1 the artifact is slower. Inputs are
    random, caches warm.
    --roofline first measures this processor's ceilings, then shows for each layer of a .smg file what limits
    it (arithmetic, or a level of memory) and the share of that limit which it reaches.

    Examples:

      smidgen bench chosen/model.smg

      smidgen bench chosen/model.smg firmware/model --batch 64

      smidgen bench chosen/model.smg --batch 64 --threads 4

      smidgen bench model.smg --roofline --time 20

      smidgen bench model.smg --json > bench.json
    """
    from rich.console import Console

    from smidgen.api.benching import bench as measure
    from smidgen.cli.progress import Live
    from smidgen.measure.ceilings import measure_ceilings
    from smidgen.measure.roofline import layer_times

    console = Console()
    with Live(Console(stderr=True)) as live:
        found = measure(artifacts, batch, seconds, live.step, threads)
        planned = [one for one in found.artifacts if one.plan is not None] if roofline else []
        ceilings = measure_ceilings(live.step) if roofline else None
        layers = [(one, layer_times(one.plan, ceilings)) for one in planned if one.plan and ceilings]
    if as_json:
        print(json.dumps(_as_dict(found, ceilings, layers), indent=1))
        return
    _print_times(found, console)
    if ceilings:
        _print_ceilings(ceilings, console)
    for one, rows in layers:
        _print_layers(one, rows, console)


def _print_times(found: Bench, console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.run.cpu import cpu_name

    versus = [f"× {rival.name}" for rival in found.baselines]
    samples = "1 sample" if found.batch == 1 else f"{found.batch} samples"
    threads = "one thread" if found.threads == 1 else f"{found.threads} threads"
    made = table(
        f"{samples} a call, {threads}, {cpu_name()}",
        "what",
        "runs in",
        "µs",
        *versus,
        right=("µs", *versus),
        whole=("µs",),
    )
    for one in (*found.artifacts, *found.baselines):
        median, _ = found.times.latency(one.name)
        ratios = [
            "" if one is rival else _ratio(found.speedup(one, rival).value, found.speedup(one, rival).spread)
            for rival in found.baselines
        ]
        made.add_row(one.name, one.runtime, f"{median.value * 1e3:.1f} ± {median.spread * 1e3:.1f}", *ratios)
    console.print(made)
    rounds = len(next(iter(found.times.seconds.values())))
    console.print(f"medians ± interquartile ranges of {rounds:,} rounds", highlight=False)
    for name, why in found.not_timed.items():
        console.print(f"not timed: {name}. {why}", highlight=False, markup=False, soft_wrap=True)


def _ratio(value: float, spread: float) -> str:
    return f"{value:.2f} ± {spread:.2f}"


def _print_ceilings(ceilings: Ceilings, console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.measure.ceilings import ARITHMETIC
    from smidgen.units import format_bytes

    made = table(f"ceilings, {ceilings.isa}", "what", "at best", right=("at best",))
    for kind, name in ARITHMETIC.items():
        best = ceilings.operations.get(kind)
        made.add_row(name, f"{best / GIGA:,.0f} Gop/s" if best else "not in this processor")
    for level, rate in ceilings.bandwidth.items():
        size = ceilings.cache_bytes.get(level)
        made.add_row(f"read {level}{f' ({format_bytes(size)})' if size else ''}", f"{rate / GIGA:,.0f} GB/s")
    console.print(made)


def _print_layers(one: Contender, rows: list[LayerTime], console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.units import format_bytes

    total = sum(row.seconds for row in rows)
    numbers = ("µs", "share", "Gop/s", "bytes", "of ceiling")
    made = table(
        f"{one.name}, one sample: {total * 1e6:.1f} µs in kernels",
        "layer",
        "kernel",
        *numbers,
        "bound",
        right=numbers,
    )
    for row in rows:
        made.add_row(
            row.node,
            ", ".join(row.kernels),
            f"{row.seconds * 1e6:.2f}",
            f"{row.seconds / total:.0%}",
            f"{row.operations / row.seconds / GIGA:,.0f}" if row.operations else "–",
            format_bytes(row.constant_bytes + row.moved_bytes),
            f"{row.fraction:.0%}",
            row.bound,
        )
    console.print(made)


def _as_dict(
    found: Bench, ceilings: Ceilings | None, layers: list[tuple[Contender, list[LayerTime]]]
) -> dict[str, Any]:
    from dataclasses import asdict

    content = found.to_dict()
    if ceilings:
        content["ceilings"] = asdict(ceilings)
        content["layers"] = {one.name: [asdict(row) for row in rows] for one, rows in layers}
    return content


COMMANDS: tuple[Any, ...] = (bench,)
