"""`smidgen check`: what stands in the way of a model on a device, before any work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from smidgen.cli.inspection import model_graph

if TYPE_CHECKING:
    from rich.console import Console

    from smidgen.api.checking import Check
    from smidgen.measure.memory_map import MemoryMap
    from smidgen.search.fixes.fitting import Remedy

MOST_LAYERS = 12
BYTES = ("bytes",)


def check(
    model: str = typer.Argument(help="A model (.onnx, .pt2), a .smg file, or a built-in task."),
    target: str = typer.Option(
        "x86-64", "--target", "-t", help="A device (smidgen targets) or the path of a .toml."
    ),
    budget: str = typer.Option("", "--budget", "-b", help="Limits, e.g. flash=64KB,ram=48KB."),
    as_json: bool = typer.Option(False, "--json", help="Print all of it for programs."),
) -> None:
    """List everything that the target can't do with a model, before any work. Exit code 4 if it finds any.

    A float model is judged as its int8 version. For a microcontroller it also shows memory over time, what is
    alive at the peak, flash by layer (without code), and what a few recipes would bring, tried on the
    structure alone.

    Examples:

      smidgen check model.onnx --target cortex-m0

      smidgen check watch --target cortex-m4 --budget flash=64KB

      smidgen check cifar10 --target cortex-m0 --json
    """
    from rich.console import Console

    from smidgen.api import budget_for
    from smidgen.api.checking import check as check_graph
    from smidgen.cli.progress import Live
    from smidgen.targets import load_target

    device = load_target(target)
    limits = budget_for(device, budget).limits()
    graph = model_graph(model)
    with Live(Console(stderr=True)) as live:
        found = check_graph(graph, device, limits, live.step)
    if as_json:
        typer.echo(json.dumps({"model": model, **found.to_dict()}, indent=1))
    else:
        _print(found, model, Console(highlight=False, markup=False))
    if found.problems:
        raise typer.Exit(4)


def _print(found: Check, model: str, console: Console) -> None:
    from smidgen.cli.tables import table

    if found.problems:
        made = table(f"{model} on {found.target}", "where", "problem", "what to do")
        for problem in found.problems:
            made.add_row(problem.node, problem.reason, problem.remedy)
        console.print(made)
    else:
        console.print(f"{model}: nothing stands in the way on {found.target}", style="green")
    if found.memory is not None:
        _print_memory(found.memory, found, console)
    if found.remedies:
        _print_remedies(found.remedies, console)


def _print_memory(memory: MemoryMap, found: Check, console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.report.memory_chart import memory_chart

    ram = found.limits.get("ram_bytes")
    beside = memory.port_bytes + memory.stack_bytes
    console.print(
        f"\nRAM: {memory.ram_bytes:,} bytes = {memory.arena_bytes:,} arena + {memory.port_bytes:,} inputs "
        f"and outputs + {memory.stack_bytes:,} stack{_of(ram)}. Of the arena, alignment takes "
        f"{memory.alignment_bytes_lost:,} bytes and fragmentation {memory.fragmentation_bytes:,}.",
        soft_wrap=True,
    )
    console.print("\nBytes alive in the arena while each node runs", style="bold")
    for line in memory_chart(memory.moments, None if ram is None else ram - beside):
        console.print(line, soft_wrap=True)
    if memory.peak:
        console.print(f"\nAlive at the peak ({memory.peak_node})", style="bold")
        alive = table("", "tensor", "shape", "bytes", "made by", "last read by", right=BYTES)
        for live in memory.peak:
            shape = "x".join(map(str, live.shape))
            alive.add_row(live.value, shape, f"{live.nbytes:,}", live.made_by, live.last_read_by)
        console.print(alive)
    _print_flash(memory, found.limits.get("flash_bytes"), console)


def _print_flash(memory: MemoryMap, limit: float | None, console: Console) -> None:
    from smidgen.cli.tables import table

    console.print(
        f"\nFlash: {memory.model_bytes:,} bytes of constants{_of(limit)}; code comes on top", style="bold"
    )
    made = table("", "layer", "operator", "stored as", "bytes", right=BYTES)
    layers = sorted(memory.layers, key=lambda layer: -layer.nbytes)
    for layer in layers[:MOST_LAYERS]:
        made.add_row(layer.node, layer.op, layer.stored_as, f"{layer.nbytes:,}")
    if rest := layers[MOST_LAYERS:]:
        made.add_row(f"{len(rest)} others", "", "", f"{sum(layer.nbytes for layer in rest):,}")
    console.print(made)


def _print_remedies(tried: tuple[Remedy, ...], console: Console) -> None:
    from smidgen.cli.tables import table

    sizes = ("flash", "RAM")
    console.print("\nWhat would bring how much", style="bold")
    made = table("", "recipe", *sizes, "fits", right=sizes, whole=(*sizes, "fits"))
    for remedy in tried:
        made.add_row(
            remedy.recipe, f"{remedy.model_bytes:,}", f"{remedy.ram_bytes:,}", "yes" if remedy.fits else "no"
        )
    console.print(made)
    console.print(
        "Bytes of constants and of RAM, from the network's structure. What a recipe costs in accuracy takes "
        "data: smidgen compress.",
        soft_wrap=True,
    )


def _of(limit: float | None) -> str:
    return "" if limit is None else f" of {limit:,.0f}"
