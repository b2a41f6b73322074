"""An artifact that runs: all that a program needs which uses a compressed network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.numerics import Array


@dataclass(frozen=True)
class Network:
    """An opened artifact.

    Attributes:
        backend: `native` (one plan of integer kernels) or `mixed` (in pieces, some of them on real numbers).
    """

    graph: Graph
    run_quantized: Callable[[Array], Array]
    backend: str

    def outputs(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real outputs [n, ...] for real inputs [n, ...] in the model's own layout. Raises BadInput."""
        from smidgen.measure.accuracy import quantized_inputs

        y = self.run_quantized(quantized_inputs(self.graph, self._checked(x)))
        grid = self.graph.values[self.graph.outputs[0]].grid
        return np.asarray(y, np.float32) if grid is None else grid.dequantize(y)

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Class labels [n]; equal outputs give the lowest class. Raises BadInput."""
        outputs = self.outputs(x)
        labels: npt.NDArray[np.int64] = outputs.reshape(len(outputs), prod(outputs.shape[1:])).argmax(axis=1)
        return labels.astype(np.int64)

    def _checked(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        try:
            array = np.asarray(x, dtype=np.float32)
        except (TypeError, ValueError) as problem:
            raise BadInput("input", f"it can't be made an array ({problem})") from problem
        expected = self.graph.values[self.graph.inputs[0]].shape
        if array.shape[1:] != expected or array.ndim == 0:
            wanted = ", ".join(map(str, ("n", *expected)))
            raise BadInput("input", f"an array of shape {list(array.shape)}", f"the model takes [{wanted}]")
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise BadInput("input", f"row {row} has NaN or infinity", "inputs must be finite")
        return array


def open(path: str | Path) -> Network:
    """Open a `.smg` file. Needs neither torch nor any other framework.

    Raises:
        BadFile: truncated, corrupt, hostile or newer than this version.
    """
    from smidgen.codec.container import read_smg

    return network(read_smg(Path(path)).graph)


def network(graph: Graph) -> Network:
    """A runnable network: native where every node has a kernel, else in pieces (said so)."""
    from smidgen.run.native import NativePlan
    from smidgen.run.plans import plan_of

    plan = plan_of(graph)

    def run(x: Array) -> Array:
        y = plan.run(x)
        return y if isinstance(y, np.ndarray) else np.asarray(y[0])

    return Network(graph, run, "native" if isinstance(plan, NativePlan) else "mixed")
