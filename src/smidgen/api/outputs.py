"""What a run leaves behind: the report, and the chosen artifact in every form that can be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.files import appearing, remove, write_whole, writing
from smidgen.graph import Graph

if TYPE_CHECKING:
    from smidgen.data.dataset import Dataset
    from smidgen.lower.device import Weights
    from smidgen.methods.recipe import Recipe
    from smidgen.report.model import Report
    from smidgen.search.result import Result
    from smidgen.targets.target import Target

CHOSEN = "chosen"
GOLDEN_SAMPLES = 8


def write_outputs(document: Report, result: Result, device: Target, examples: Dataset, folder: Path) -> None:
    """report.json, report.html, the frontier's picture, and `chosen/`, which appears whole or not at all."""
    from smidgen.codec.container import read_smg
    from smidgen.emit.smg import FILE_NAME
    from smidgen.report.html import write_html
    from smidgen.report.image import write_image
    from smidgen.report.model import write_report

    write_report(document, folder / "report.json")
    write_html(document, folder / "report.html")
    if document.points:
        write_image(document, folder / "frontier.png")
    if result.chosen is None:
        remove(folder / CHOSEN)
        return
    graph = read_smg(result.chosen.artifact / FILE_NAME).graph
    with writing(folder / CHOSEN), appearing(folder / CHOSEN) as unfinished:
        recipe, weights = result.chosen.candidate.recipe, _weights_in(result.chosen.artifact)
        ram = result.goal.budget.ram_bytes if device.kind == "microcontroller" else None
        limited = device if ram is None else device.model_copy(update={"ram_bytes": ram})
        write_artifact(graph, recipe, limited, examples, unfinished, weights)


def _weights_in(artifact: Path) -> Weights | None:
    """How the C project that was measured keeps its weights; None: as is usual for the target."""
    from smidgen.search.evaluate import C_PROJECT
    from smidgen.targets.project import MANIFEST, read_manifest

    if not (artifact / C_PROJECT / MANIFEST).exists():
        return None
    kernels = read_manifest(artifact / C_PROJECT).sources
    return "coded" if any(name.startswith("kernels/smg_unpack_") for name in kernels) else None


def write_artifact(
    graph: Graph,
    recipe: Recipe,
    device: Target,
    examples: Dataset,
    folder: Path,
    weights: Weights | None = None,
) -> list[Path]:
    """Write an integer network in every form; returns what was written. `weights`: see `CEmitter`.

    `model.smg`, `model.golden` (some real inputs and all that the network makes of them), `recipe.yaml`,
    exact ONNX, a C project. A form that can't express the network is left out; `smidgen export` says why.
    """
    from smidgen.emit.c import CEmitter
    from smidgen.emit.onnx import OnnxEmitter
    from smidgen.emit.smg import SmgEmitter
    from smidgen.measure.accuracy import quantized_inputs
    from smidgen.targets import load_target

    host = load_target("generic-c")
    golden_inputs = quantized_inputs(graph, examples.head(GOLDEN_SAMPLES).x)
    files = [*SmgEmitter().emit(graph, host, folder).files, folder / "recipe.yaml"]
    write_whole(files[-1], recipe.to_yaml())
    if graph.is_integer:
        from smidgen.codec.golden import golden_of, write_golden

        files.append(folder / "model.golden")
        write_golden(files[-1], golden_of(graph, golden_inputs))
    if not OnnxEmitter().check(graph, host):
        files += OnnxEmitter().emit(graph, host, folder).files
    c = CEmitter((golden_inputs,), weights=weights)
    if not c.check(graph, device):
        c.emit(graph, device, folder / "c")
        files.append(folder / "c")
    return files
