"""How good an artifact is: real inputs are quantized once, the integers run, a metric judges the outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from smidgen.data.metrics import ACCURACY, Metric
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.measurement import Measurement
from smidgen.numerics import Array

Labels = npt.NDArray[np.int64]
Runner = Callable[[Array], Array]  # quantized inputs [n, ...] -> outputs [n, classes]


def quantized_inputs(graph: Graph, x: npt.NDArray[np.float32]) -> Array:
    """`x` float32 [n, ...] on the grid of the network's only input (unchanged if that takes real numbers).

    Raises BadInput if the network has several inputs.
    """
    if len(graph.inputs) != 1:
        raise BadInput(graph.name, f"{len(graph.inputs)} inputs", "one is needed to measure accuracy")
    port = graph.values[graph.inputs[0]]
    if port.grid is None:
        return x
    stored: Array = np.ascontiguousarray(port.grid.quantize(x).astype(port.dtype))
    return stored


def predict(graph: Graph, run: Runner, x: npt.NDArray[np.float32], metric: Metric = ACCURACY) -> Array:
    """What `metric` keeps of the real outputs for real inputs [n, ...], through `run`: class labels int64 [n]
    by default. Equal outputs: the lowest class, on every back end.
    """
    outputs = run(quantized_inputs(graph, x))
    if metric.reads == "labels":  # a grid keeps the order, so the largest integer is the largest real
        return metric.predictions(outputs)
    grid = graph.values[graph.outputs[0]].grid
    return metric.predictions(outputs if grid is None else grid.dequantize(outputs))


def score(metric: Metric, predictions: Array, targets: Array) -> Measurement:
    """The metric's own score of what `predict` returned; `repeats` is the number of samples."""
    if metric == ACCURACY:
        return accuracy(predictions, targets)
    found = metric.score(predictions, targets)
    return Measurement(metric.name, found, metric.unit, "measured", len(targets))


def accuracy(predictions: Labels, labels: Labels) -> Measurement:
    """Percent of right labels; `repeats` is the number of samples, `spread` the binomial standard error."""
    if predictions.shape != labels.shape or labels.size == 0:
        raise ValueError(f"{predictions.shape} predictions for {labels.shape} labels")
    right = float((predictions == labels).mean())
    error = (right * (1 - right) / labels.size) ** 0.5
    return Measurement("accuracy", right * 100, "%", "measured", int(labels.size), error * 100)
