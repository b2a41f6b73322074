"""What can be done with a model or an artifact: verify, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from smidgen.cli.check import check
from smidgen.cli.inspection import inspect, model_graph

if TYPE_CHECKING:
    from smidgen.errors import SmidgenError
    from smidgen.graph import Graph
    from smidgen.measure.agreement import Agreement

FILE = typer.Argument(help="A .smg file.")
TARGET = typer.Option("x86-64", "--target", "-t", help="A device (smidgen targets) or the path of a .toml.")
MISMATCH_INPUTS = 200


def verify(
    file: Path = FILE,
    inputs: int = typer.Option(100, "--inputs", "-n", min=1, help="How many random inputs."),
    backend: list[str] = typer.Option(
        [], "--backend", help="native, file, c or onnx (repeatable). Default: all that can be run here."
    ),
) -> None:
    """Prove that every back end computes the same bytes as the exact reference. Exit code 7 if not.

    A model.golden beside the file is checked first, layer by layer: it finds weights that have changed.

    Examples:

      smidgen verify chosen/model.smg

      smidgen verify model.smg --backend native --inputs 1000
    """
    from rich.console import Console

    from smidgen.errors import BadInput
    from smidgen.measure.agreement import BACKENDS, golden_layers, require_agreement

    console = Console(highlight=False, markup=False)
    if unknown := [name for name in backend if name not in BACKENDS]:
        raise BadInput("backend", f"{unknown[0]!r} is unknown", f"there are {', '.join(BACKENDS)}")
    graph = _integer_graph(file)
    layers = golden_layers(file, graph)
    console.print(
        f"  golden: {layers} layers agree" if layers else "  golden: no model.golden beside the file"
    )
    results = []
    for name in backend or BACKENDS:
        found, why_not = _agreement(graph, name, inputs)
        if why_not is not None and backend:
            raise why_not
        results += found
        differing = f"{found[0].differing} of {inputs} inputs differ" if found else f"not run. {why_not}"
        console.print(f"{name:>8}: {differing}", soft_wrap=True)
    require_agreement(results)


def _agreement(graph: Graph, backend: str, inputs: int) -> tuple[list[Agreement], SmidgenError | None]:
    """What one back end computes on random inputs, or why it can't run here."""
    from smidgen.errors import BadInput, MissingExtra, Unsupported
    from smidgen.measure.agreement import agreement, random_inputs

    try:
        return agreement(graph, random_inputs(graph, inputs), (backend,)), None
    except (BadInput, MissingExtra, Unsupported) as problem:
        return [], problem


def _integer_graph(file: Path) -> Graph:
    from smidgen.codec.container import read_smg
    from smidgen.errors import Unsupported

    graph = read_smg(file).graph
    if not graph.is_integer:
        raise Unsupported(
            str(file), "it holds floats", "only integer networks run exactly", "Add quantize.affine"
        )
    return graph


def export(
    form: str = typer.Argument(help="c, onnx (exact), qdq, float (ONNX too) or smg.", metavar="FORMAT"),
    file: Path = FILE,
    folder: Path = typer.Argument(help="Where to write."),
    target: str = typer.Option("generic-c", "--target", "-t", help="The device to emit for."),
    float_io: bool = typer.Option(False, "--float-io", help="onnx and qdq: take and give real numbers."),
    layout: str = typer.Option("project", "--layout", help="c: project, single-header or arduino."),
    stream: bool = typer.Option(False, "--stream", help="One step at a time, states as inputs and outputs."),
    weights: str = typer.Option(
        "", "--weights", help="c: stored, expanded or coded (smidgen measure --weights)."
    ),
    patches: int = typer.Option(
        0, "--patches", min=0, help="c: strips of the first layers. Default: as few as fit the RAM."
    ),
) -> None:
    """Write an artifact in another form: a C99 project, ONNX, or .smg.

    For a device, a C project is built and run in an emulator too: its README states flash, RAM, instructions.

    onnx computes exactly what the artifact does. qdq is what other tools expect and rounds differently;
    the share of differing outputs is printed. float takes networks of real numbers: a .smg file that holds
    one, a model, a built-in task.

    Examples:

      smidgen export c chosen/model.smg firmware/model --target cortex-m4

      smidgen export c model.smg library --target cortex-m4 --layout arduino

      smidgen export c model.smg firmware --target cortex-m0 --weights coded

      smidgen export onnx chosen/model.smg out --float-io

      smidgen export float model.pt2 out
    """
    from rich.console import Console

    from smidgen.emit.c import CEmitter
    from smidgen.emit.c_schedule import strips_text
    from smidgen.emit.emitter import Emitter
    from smidgen.emit.onnx import OnnxEmitter
    from smidgen.emit.onnx_float import FloatOnnxEmitter
    from smidgen.emit.onnx_qdq import QdqOnnxEmitter
    from smidgen.emit.smg import SmgEmitter
    from smidgen.errors import BadInput
    from smidgen.graph.streaming import streaming
    from smidgen.lower.device import weights_named
    from smidgen.targets import load_target

    c = CEmitter(layout=layout, measured=True, weights=weights_named(weights), patches=patches)
    emitters: dict[str, Emitter] = {
        "c": c,
        "onnx": OnnxEmitter(float_io),
        "qdq": QdqOnnxEmitter(float_io),
        "float": FloatOnnxEmitter(),
        "smg": SmgEmitter(),
    }
    if form not in emitters:
        raise BadInput("format", f"{form!r} is unknown", f"there are {', '.join(emitters)}")
    graph = model_graph(str(file))
    graph, device = streaming(graph) if stream else graph, load_target(target)
    artifact = emitters[form].emit(graph, device, folder)
    lines = [f"{path.stat().st_size:>10,} B  {path}" for path in artifact.files]
    if form == "c" and (strips := strips_text(graph, c.scheduled(graph, device), device, c.weights)):
        lines.append(strips)
    if form == "qdq" and graph.is_integer:
        lines.append(_mismatch_text(graph))
    lines += [
        f"state: input {given} is given output {made} of the step before" for given, made in graph.states
    ]
    for line in lines:
        Console().print(line, highlight=False, markup=False, soft_wrap=True)


def _mismatch_text(graph: Graph) -> str:
    from smidgen.errors import MissingExtra
    from smidgen.measure.agreement import mismatch_rate, random_inputs

    try:
        share = mismatch_rate(graph, random_inputs(graph, MISMATCH_INPUTS))
    except MissingExtra as missing:  # the file itself is written and whole
        return f"not compared with the exact integers: {missing}"
    what = f"{share:.2%} of the outputs differ from the exact integers"
    return f"not exact: {what} ({MISMATCH_INPUTS} random inputs)"


COMMANDS: tuple[Any, ...] = (inspect, check, verify, export)
