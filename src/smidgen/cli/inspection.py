"""`smidgen inspect`: what a file or a model consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

MODELS = (".onnx", ".pt2")

if TYPE_CHECKING:
    from rich.console import Console

    from smidgen.codec.inspect import FileReport
    from smidgen.graph import Graph
    from smidgen.run.mixed import MixedPlan


def inspect(
    file: Path = typer.Argument(help="A .smg file, or a model: .onnx, .pt2, package.module:name."),
    weight: str | None = typer.Option(None, "--weight", "-w", help="Print this weight's values."),
    state: list[str] = typer.Option([], "--state", help="INPUT=OUTPUT of a streaming model, as in compress."),
    plan: bool = typer.Option(False, "--plan", help="Show which kernels run a .smg file here, and why."),
) -> None:
    """Show what is in a file: every weight, its format, and where the bytes go.

    Of a model: its operators and their cost, and what stays a float island, with reason and remedy.

    Examples:

      smidgen inspect model.onnx

      smidgen inspect chosen/model.smg

      smidgen inspect chosen/model.smg --weight conv1.weight

      smidgen inspect chosen/model.smg --plan
    """
    from rich.console import Console

    from smidgen.codec.container import read_smg
    from smidgen.codec.inspect import inspect_smg

    console = Console()
    if plan:
        _print_plan(model_graph(str(file), state), str(file), console)
    elif weight is None and (file.suffix in MODELS or (file.suffix != ".smg" and not file.exists())):
        _print_coverage(model_graph(str(file), state), str(file), console)
    elif weight is not None:
        console.print(_weight_text(read_smg(file).graph, weight), highlight=False, markup=False)
    else:
        _print_weights(inspect_smg(file), str(file), console)
        _print_states(read_smg(file).graph, console)


def _print_weights(found: FileReport, title: str, console: Console) -> None:
    from smidgen.cli.tables import table

    sizes = ("float32", "packed", "coded")
    made = table(f"{title}, sizes in bytes", "weight", "format", "shape", "coder", *sizes, right=sizes)
    for row in found.weights:
        made.add_row(
            ", ".join(row.names),
            row.label if any(map(str.isdigit, row.label)) else f"{row.label}{row.bits}",
            "x".join(map(str, row.shape)),
            "+".join(dict.fromkeys(leaf.coder for leaf in row.leaves)),
            *(f"{n:,}" for n in (row.float32_bytes, row.packed_bytes, row.coded_bytes)),
        )
    console.print(made)
    console.print(
        f"{found.file_bytes:,} bytes = {found.stream_bytes:,} weights + {found.structure_bytes:,} structure "
        f"+ {found.header_bytes:,} header",
        highlight=False,
    )


def _print_coverage(graph: Graph, title: str, console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.measure.coverage import coverage

    found = coverage(graph)
    numbers = ("nodes", "MACs", "other operations", "weight bytes")
    made = table(f"{title}, for one sample", "operator", *numbers, right=numbers)
    for use in found.operators:
        cells = (use.count, use.macs, use.elements, use.weight_bytes)
        made.add_row(use.op, *(f"{n:,}" for n in cells))
    console.print(made)
    _print_states(graph, console)
    bound = "at most " if found.islands else ""
    console.print(
        f"Captured: {found.captured_share:.0%} of the nodes, {bound}{found.captured_macs:.0%} of the "
        f"multiply-accumulates, {found.captured_bytes:.0%} of the weight bytes. {len(found.islands)} float "
        "islands are left to the runtime that they came from.",
        highlight=False,
        soft_wrap=True,
    )
    if found.islands:
        listed = table("islands", "where", "operator", "why", "what to do")
        for island in found.islands:
            listed.add_row(island.node, island.source, island.reason, island.remedy)
        console.print(listed)


def _print_plan(graph: Graph, title: str, console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.run.choose import kernel_times
    from smidgen.run.mixed import MixedPlan
    from smidgen.run.plans import plan_of
    from smidgen.units import format_bytes

    plan = plan_of(graph)
    if isinstance(plan, MixedPlan):
        _print_pieces(plan, title, console)
        return
    measured = kernel_times(plan.program)
    made = table(
        f"{title}, {len(plan.program.calls)} calls", "layer", "kernel", "runs on", "measured here, µs"
    )
    for call, chosen, times in zip(plan.program.calls, plan.chosen, measured, strict=True):
        turns = f" ({call.turns} turns)" if call.turns > 1 else ""
        made.add_row(call.node, f"{call.kernel.removeprefix('smg_')}{turns}", chosen, _listed(times))
    console.print(made)
    constants = sum(constant.array.nbytes for constant in plan.program.constants)
    sizes = (
        f"{format_bytes(constants)} of constants, {format_bytes(plan.program.arena_bytes)} of working memory"
    )
    console.print(sizes, highlight=False)


def _print_pieces(plan: MixedPlan, title: str, console: Console) -> None:
    from smidgen.cli.tables import table
    from smidgen.measure.agreement import random_inputs

    spent = plan.piece_seconds([random_inputs(plan.graph, 1, name=name) for name in plan.graph.inputs])
    made = table(
        f"{title}, {len(plan.pieces)} pieces, {1e6 * sum(spent):.1f} µs",
        "layer",
        "operators",
        "runs on",
        "µs",
        "measured here, µs",
        right=("µs",),
    )
    for piece, seconds in zip(plan.pieces, spent, strict=True):
        choice = _listed(piece.seconds)
        made.add_row(piece.name, piece.ops, piece.runs_on, f"{1e6 * seconds:.2f}", choice)
    console.print(made)


def _listed(times: Mapping[str, float]) -> str:
    """Microseconds of each candidate."""
    return ", ".join(f"{name} {1e6 * seconds:.2f}" for name, seconds in times.items()) or "–"


def _weight_text(graph: Graph, name: str) -> str:
    import numpy as np

    from smidgen.errors import BadInput

    if name not in graph.weights:
        raise BadInput("weight", f"there is no {name!r}", f"the file has {', '.join(graph.weights)}")
    fmt = graph.weights[name]
    return (
        f"{name}: {fmt.label} {list(fmt.shape)}\n{np.array2string(fmt.decode(), threshold=200, precision=5)}"
    )


def _print_states(graph: Graph, console: Console) -> None:
    for given, made in graph.states:
        shape = "x".join(map(str, graph.values[given].shape))
        text = f"state {given} [{shape}]: is given {made} of the chunk before"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def model_graph(model: str, states: Sequence[str] = ()) -> Graph:
    """The network of a task, a .smg file or a model. Raises BadInput and BadFile."""
    from smidgen.codec.container import read_smg
    from smidgen.load import load
    from smidgen.tasks.task import is_task, load_task

    if is_task(model):
        return load_task(model).model()
    source = read_smg(Path(model)).graph if Path(model).suffix == ".smg" else model
    return load(source, states=states)
