"""`smidgen measure`: one artifact on this computer, or as firmware on an emulated device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from smidgen.cli.artifacts import FILE, TARGET

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from smidgen.api.network import Network
    from smidgen.lower.device import Weights
    from smidgen.measure.device import DeviceReport
    from smidgen.measurement import Measurement
    from smidgen.numerics import Array
    from smidgen.targets import Target

GOLDEN = "model.golden"


def measure(
    file: Path = FILE,
    source: str | None = typer.Option(
        None, "--task", help="A built-in task: accuracy on its validation split."
    ),
    data: str | None = typer.Option(None, "--data", help="What to judge it on, as in compress."),
    metric: str = typer.Option("", "--metric", help="As in compress."),
    target: str = TARGET,
    inputs: int = typer.Option(
        0, "--inputs", "-n", min=0, help="Emulate this many random inputs, not model.golden."
    ),
    weights: bool = typer.Option(
        False, "--weights", help="On a microcontroller: what each way of keeping the weights takes."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON, not tables."),
) -> None:
    """Measure an artifact: size, RAM, latency, throughput, and how good it is if data is given.

    For a device, firmware is built and runs every golden vector (model.golden beside the file, else random
    inputs) in an emulator: flash, RAM, exact instructions per inference and per layer. Exit code 7 if any
    output differs from the exact reference.

    Examples:

      smidgen measure chosen/model.smg --task watch --target cortex-m4

      smidgen measure chosen/model.smg --target cortex-m0 --weights

      smidgen measure chosen/model.smg --data data.npz

      smidgen measure model.smg --target rv32imc --inputs 200 --json
    """
    from rich.console import Console

    from smidgen import api
    from smidgen.measure.artifact import measurements_of
    from smidgen.measure.energy import modelled_energy
    from smidgen.measure.size import file_size
    from smidgen.targets import load_target
    from smidgen.targets.cores import can_emulate

    device, net, console = load_target(target), api.open(file), Console()
    found, on = _scores(net, source, data, metric)
    report = None
    if can_emulate(device) and net.graph.is_integer:
        report = _on_device(net, file, device, inputs, console)
        found += [file_size(file), *report.measurements, *modelled_energy(net.graph, device)]
    else:
        found += measurements_of(net.graph, file, device)
    choices = _weight_choices(net, device) if weights else {}
    if as_json:
        _print_json(found, report, device.name, choices)
    else:
        _print_tables(found, report, f"{file} on {device.name}{on}", console)
        if choices:
            console.print(_weights_table(choices))
    if report is not None:
        report.require_exact()


def _scores(net: Network, source: str | None, data: str | None, metric: str) -> tuple[list[Measurement], str]:
    """How good the artifact is on a task's or the user's validation data, and words that say so."""
    from smidgen.data import load_user_data
    from smidgen.data.metrics import metric_for
    from smidgen.errors import BadInput
    from smidgen.measure.accuracy import score
    from smidgen.tasks.task import load_task

    if source and data:
        raise BadInput("data", "both --task and --data were given", "one of them is needed")
    if not source and not data:
        return [], ""
    task, shape = load_task(source) if source else None, net.graph.values[net.graph.inputs[0]].shape
    splits = task.load() if task else load_user_data(str(data), shape=shape)
    judge, part = metric_for(replace(splits, metric=metric)), splits.validation
    excluded = ", features excluded" if task and task.features else ""
    return [
        score(judge, judge.predictions(net.outputs(part.x)), part.y)
    ], f", {judge.name} on validation{excluded}"


def _on_device(net: Network, file: Path, device: Target, inputs: int, console: Console) -> DeviceReport:
    from rich.progress import Progress

    from smidgen.measure.device import measure_device

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"emulating {device.name}", total=None)
        return measure_device(
            net.graph,
            device,
            _vectors(net, file, inputs),
            lambda done, of: bar.update(task, completed=done, total=of),
        )


def _vectors(net: Network, file: Path, inputs: int) -> Sequence[Array]:
    """Golden inputs of the file's sidecar; `inputs` random ones if asked, a few where there is no sidecar."""
    from smidgen.codec.golden import read_golden
    from smidgen.emit.c_golden import GOLDEN_SAMPLES, random_inputs

    sidecar = file.with_name(GOLDEN)
    if not inputs and sidecar.exists():
        return read_golden(sidecar).inputs
    return random_inputs(net.graph, inputs or GOLDEN_SAMPLES)


def _weight_choices(net: Network, device: Target) -> dict[Weights, list[Measurement]]:
    from rich.console import Console

    from smidgen.measure.firmware import weight_choices

    with Console(stderr=True).status(f"building and running firmware for {device.name}"):
        return weight_choices(net.graph, device)


def _weights_table(choices: Mapping[Weights, Sequence[Measurement]]) -> Table:
    """Flash, RAM and instructions of one prediction for each way of keeping the weights."""
    from smidgen.cli.tables import table

    columns = ("flash_bytes", "ram_bytes", "instructions")
    made = table("where the weights are", "weights", "flash", "RAM", "instructions (emulated)", right=columns)
    for name, measured in choices.items():
        values = {m.name: f"{m.value:,.0f}" for m in measured}
        made.add_row(name, *(values.get(column, "not run") for column in columns))
    return made


def _print_json(
    found: Sequence[Measurement],
    report: DeviceReport | None,
    target: str,
    choices: Mapping[Weights, Sequence[Measurement]],
) -> None:
    import json

    listed: dict[str, Any] = {"target": target} if report is None else report.to_dict()
    listed["measurements"] = {m.name: m.to_dict() for m in found}
    if choices:
        listed["weights"] = {way: {m.name: m.to_dict() for m in made} for way, made in choices.items()}
    typer.echo(json.dumps(listed, indent=1))


def _print_tables(
    found: Sequence[Measurement], report: DeviceReport | None, title: str, console: Console
) -> None:
    from smidgen.cli.tables import measurement_table, table

    console.print(measurement_table(found, title))
    if report is None:
        return
    columns = ("instructions", "share")
    made = table("emulated instructions by layer", "layer", *columns, right=columns, whole=columns)
    total = report.value("instructions")
    for layer, count in report.layers.items():
        made.add_row(layer, f"{count:,}", f"{count / total:.1%}")
    console.print(made)
    if report.exact:
        console.print(
            f"bit-exact: yes, {report.inputs} inputs on the emulated {report.target}",
            highlight=False,
            markup=False,
        )


COMMANDS: tuple[Any, ...] = (measure,)
