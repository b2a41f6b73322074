"""Bias correction: quantized weights must not move the mean of what a layer computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset
from smidgen.formats import Dense, Half
from smidgen.graph import Graph, Node
from smidgen.graph.scan import SCANS
from smidgen.methods.post_training import WEIGHTED, calibration_batches, calibration_samples, unrounded
from smidgen.methods.space import Space
from smidgen.methods.step import Context, Stage, Step
from smidgen.numerics import Array
from smidgen.run.float_ops import FLOAT_FUNCTIONS
from smidgen.run.interpreter import Function, Site, interpret_chunks

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BiasCorrection(Step):
    """b' = b + E[W x] - E[Q x] for every layer with quantized weights Q, per output channel.

    W are the unrounded weights, x the layer's inputs in the float network on calibration samples; means run
    over samples and positions, padding included as the layer sees it. Needs weights quantized just before
    (`quantize.affine`, `quantize.mixed`): weights read from a file are not known unrounded, and a training in
    between has found biases for Q itself. A bias doesn't tell that it was corrected, so use the step once.
    Layers inside recurrences stay as they are: their errors return through the state, which a mean over
    independent samples does not describe.
    Ref: Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with samples in the place of BatchNorm statistics.

    Attributes:
        samples: calibration samples, taken from the training split.

    Raises (apply):
        BadInput: no data.
    """

    # Behind VALUES, because it repairs what that stage has rounded.
    stage: ClassVar[Stage] = Stage.STORAGE

    samples: int = 256

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, not {self.samples}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        samples = calibration_samples(self.name, ctx, self.samples)
        errors = rounding_errors(graph)
        if any(node.op in SCANS for node in graph.nodes):
            ctx.notes.append(f"{self.name}: layers inside recurrences keep their biases")
        if not errors:
            ctx.notes.append(f"{self.name}: no layer has weights that were just rounded, nothing changes")
            return graph
        return with_biases(graph, mean_shifts(graph, errors, calibration_batches(graph, samples, ctx)))

    def space(self, graph: Graph) -> Space:
        return {}


def rounding_errors(graph: Graph) -> dict[str, npt.NDArray[np.float32]]:
    """W - Q of each weight that linear and conv layers use rounded, by name; exact ones are left out."""
    errors = {}
    for name in dict.fromkeys(node.params["weight"] for node in graph.nodes if node.op in WEIGHTED):
        weight = graph.weights[name]
        if weight.integers() is not None:
            error = unrounded(weight) - weight.decode()
            if error.any():
                errors[name] = error
    return errors


def mean_shifts(
    graph: Graph, errors: Mapping[str, npt.NDArray[np.float32]], batches: Iterable[Dataset]
) -> dict[str, Vector]:
    """E[(W - Q) x] over samples and positions, [O] by layer, for the layers whose weights are in `errors`."""
    sums: dict[str, Vector] = {}
    counts: dict[str, int] = {}

    def watched(plain: Function) -> Function:
        def function(site: Site, x: Sequence[Array]) -> Array | Sequence[Array]:
            name = site.node.params["weight"]
            if name in errors:
                shift = np.asarray(plain(replace(site, weights={"weight": errors[name]}), x))
                rows = shift.reshape(-1, shift.shape[-1])
                sums[site.node.name] = sums.get(site.node.name, 0) + rows.sum(axis=0, dtype=np.float64)
                counts[site.node.name] = counts.get(site.node.name, 0) + len(rows)
            return plain(site, x)

        return function

    functions = {op: watched(f) if op in WEIGHTED else f for op, f in FLOAT_FUNCTIONS.items()}
    floats = {name: unrounded(weight) for name, weight in graph.weights.items()}
    for batch in batches:
        interpret_chunks(graph, batch.x, functions, floats.__getitem__)
    return {name: total / counts[name] for name, total in sums.items()}


def with_biases(graph: Graph, shifts: Mapping[str, Vector]) -> Graph:
    """The layers' biases moved by `shifts`; a layer without one, or with a shared one, gets its own."""
    for name, shift in shifts.items():
        node = graph.node(name)
        old = node.params.get("bias")
        bias = np.zeros(1) if old is None else graph.weights[old].decode().astype(np.float64)
        own = old if old is not None and len(graph.users(old)) == 1 else f"{name}.bias_corrected"
        changed: Node = replace(node, params={**node.params, "bias": own})
        corrected = (bias + shift).astype(np.float32)
        stored = Half.fit(corrected) if isinstance(graph.weights.get(own), Half) else Dense(corrected)
        graph = graph.with_weights({own: stored}).replace(name, changed)
    return graph.pruned()
