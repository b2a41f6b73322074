"""Loads each presentation of a test with smidgen, runs the float reference and compares."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from benchmarks.conformance.cases import Case
from benchmarks.conformance.presentations import ON_CONSTANTS, Presentation, presentations
from smidgen.errors import SmidgenError
from smidgen.formats import Grid
from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import run_float_all
from smidgen.run.islands import islands

# Relative, of each element; beside it, of the largest element, for sums that cancel.
TOLERANCE, CANCELLING = 1e-4, 1e-6
DECIMALS = 1e-4  # absolute, where a test states its expected values to four decimals
HALF_TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2}  # of expected values that were rounded to these


class Outcome(IntEnum):
    """From worst to best."""

    WRONG = 0
    REFUSED = 1
    FOLDED = 2
    ISLAND = 3
    CAPTURED = 4


@dataclass(frozen=True, eq=False)
class Verdict:
    """What came of a test; `reason` says why it is not captured; `graph` is there where it loaded."""

    case: Case
    outcome: Outcome
    how: str = ""
    reason: str = ""
    graph: Graph | None = None


def verdict(case: Case, folder: Path) -> Verdict:
    """The best outcome over all presentations of a case, but WRONG if any of them is."""
    best = Verdict(case, Outcome.REFUSED, reason="works on strings, sequences, optional or complex values")
    first = True
    for presentation in presentations(case):
        if presentation.how == ON_CONSTANTS and best.outcome > Outcome.REFUSED:
            break
        found = _judged(case, presentation, folder / "model.onnx")
        if found.outcome == Outcome.WRONG:
            return found
        if first or found.outcome > best.outcome:
            best, first = found, False
        if found.outcome == Outcome.CAPTURED:
            break
    return best


def verdicts(cases: Iterable[Case], folder: Path) -> list[Verdict]:
    return [verdict(case, folder) for case in cases]


def _judged(case: Case, presentation: Presentation, path: Path) -> Verdict:
    how = presentation.how
    onnx.save(presentation.model, str(path))
    try:
        graph = load(path, presentation.inputs, presentation.axes)
    except SmidgenError as refusal:
        return Verdict(case, Outcome.REFUSED, how, str(refusal).replace(str(path), "the file"))
    except Exception as crash:
        return Verdict(case, Outcome.WRONG, how, f"loading crashed: {type(crash).__name__}: {crash}")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)
            batch_first = [np.moveaxis(x, a, 0) for x, a in zip(presentation.inputs, presentation.axes)]
            made = run_float_all(graph, [real(graph, n, x) for n, x in zip(graph.inputs, batch_first)])
    except Exception as crash:
        return Verdict(case, Outcome.WRONG, how, f"running failed: {type(crash).__name__}: {crash}", graph)
    with np.errstate(all="ignore"):
        problem = _problem(graph, made, presentation.outputs)
        if problem and not all(map(_is_single, presentation.inputs)):
            problem = _problem(graph, made, _of_rounded(presentation))
    if problem:
        return Verdict(case, Outcome.WRONG, how, problem, graph)
    if found := islands(graph):
        return Verdict(case, Outcome.ISLAND, how, found[0].reason, graph)
    return Verdict(case, Outcome.FOLDED if how == ON_CONSTANTS else Outcome.CAPTURED, how, graph=graph)


def real(graph: Graph, port: str, x: np.ndarray) -> np.ndarray:
    """What x stands for: integers of a quantized port are numbers on its grid."""
    grid = graph.values[port].grid
    if grid is None or x.dtype.kind == "f":
        return x
    return grid.dequantize(x.astype(np.int64) - _offset(x, grid))


def _offset(x: np.ndarray, grid: Grid) -> int:
    """Grids count from -2^(bits-1), unsigned types from 0."""
    return 1 << (grid.bits - 1) if x.dtype.name.startswith("u") else 0


def _problem(graph: Graph, made: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> str:
    """What is wrong with the outputs; those on a grid may be off by one step."""
    for index, (port, a, b) in enumerate(zip(graph.outputs, made, expected, strict=True)):
        grid = graph.values[port].grid
        if grid is None or b.dtype.kind == "f":
            found = difference([a], [b], index)
        else:
            steps = np.abs(grid.quantize(a) - (b.astype(np.int64) - _offset(b, grid))).max(initial=0)
            found = f"output {index} is off by {steps:g} steps" if steps > 1 else ""
        if found:
            return found
    return ""


def _is_single(x: np.ndarray) -> bool:
    return x.dtype != np.float64 or np.array_equal(x.astype(np.float32), x, equal_nan=True)


def _of_rounded(presentation: Presentation) -> list[np.ndarray]:
    """What onnx's reference makes of the float64 inputs, rounded to the float32 that smidgen is given."""
    names = [port.name for port in presentation.model.graph.input]
    feed = {name: x.astype(np.float32).astype(x.dtype) for name, x in zip(names, presentation.inputs)}
    return list(ReferenceEvaluator(presentation.model).run(None, feed))


def difference(made: Iterable[np.ndarray], expected: Iterable[np.ndarray], first: int = 0) -> str:
    """What is wrong with the outputs, the `first` and the following ones; "" if nothing."""
    for index, (a, b) in enumerate(zip(made, expected, strict=True), first):
        if a.shape != b.shape:
            return f"output {index} has the shape {list(a.shape)}, not {list(b.shape)}"
        tolerance = HALF_TOLERANCE.get(b.dtype.name, TOLERANCE)
        floor = DECIMALS if b.dtype.kind == "f" and np.array_equal(b, np.round(b, 4)) else 0.0
        b = b.astype(np.float32).astype(np.float64)
        finite = np.abs(b[np.isfinite(b)])
        floor = max(floor, CANCELLING * (finite.max() if finite.size else 0.0))
        if not np.allclose(a, b, rtol=tolerance, atol=floor, equal_nan=True):
            return f"output {index} differs by up to {np.nanmax(np.abs(a - b)):.3g}"
    return ""
