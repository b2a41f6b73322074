"""Streaming statistics of activations: what ranges the values of a network take on calibration data.

Memory does not grow with the number of samples: minima, maxima and a fixed-size random reservoir a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.formats import Grid
from smidgen.formats.ranges import RangeRule, row_ranges
from smidgen.graph import Graph, Node
from smidgen.graph.scan import carried_states
from smidgen.lower.grids import fixed_grids, grid_owners, wide_owners
from smidgen.numerics import Array
from smidgen.run.float_ops import run_float

RESERVOIR = 8192


@dataclass
class Range:
    """Running minimum, maximum and a uniform sample of everything seen."""

    lo: float = np.inf
    hi: float = -np.inf
    seen: int = 0
    sample: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def update(self, x: Array, rng: np.random.Generator) -> None:
        flat = np.asarray(x, dtype=np.float32).ravel()
        flat = flat[np.isfinite(flat)]  # where a function has no value, integers saturate
        if not flat.size:
            return
        self.lo, self.hi = min(self.lo, float(flat.min())), max(self.hi, float(flat.max()))
        kept = flat if flat.size <= RESERVOIR else rng.choice(flat, RESERVOIR, replace=False)
        # Old and new entries keep shares proportional to how much data each stands for.
        share = self.seen / (self.seen + flat.size)
        old = self.sample[: round(RESERVOIR * share)] if self.seen else self.sample
        room = RESERVOIR - old.size
        self.sample = rng.permutation(np.concatenate([old, kept[:room]]))
        self.seen += flat.size

    def wide_grid(self) -> Grid:
        """The 16-bit grid for what was seen, with room for twice as much: sums over time may still grow."""
        return Grid.wide(2 * max(abs(self.lo), abs(self.hi)) if self.seen else 0.0)

    def grid(self, bits: int, rule: RangeRule) -> Grid:
        """The asymmetric grid for what was seen, its range chosen by `rule`."""
        if not self.seen:
            return Grid.from_range(0.0, 0.0, bits)
        if rule == "minmax" or self.lo == self.hi:
            return Grid.from_range(self.lo, self.hi, bits)
        row = np.concatenate([self.sample, np.array([self.lo, self.hi], np.float32)])[None, :]
        lo, hi = row_ranges(row, bits, symmetric=False, rule=rule)
        return Grid.from_range(float(lo[0]), float(hi[0]), bits)


def calibrate(
    graph: Graph,
    batches: Iterable[Array | Sequence[Array]],
    bits: int,
    rule: RangeRule = "minmax",
    seed: int = 0,
) -> dict[str, Grid]:
    """Grids by owner (see `lower.grids`) for a float graph in canonical form, from batches [n, ...].

    A batch is the first input, or one array for each: a stream's come from `run.stream.run_stream`.
    """
    rng = np.random.default_rng(seed)
    wanted = set(grid_owners(graph).values()) - set(fixed_grids(graph))
    ranges = {name: Range() for name in sorted(wanted)}
    carried = carried_states(graph)

    def watch(node: Node, outputs: Sequence[Array]) -> None:
        for name, array in zip(node.outputs, outputs, strict=True):
            if (owner := carried.get(name, name)) in wanted:
                ranges[owner].update(array, rng)

    for batch in batches:
        for name, given in zip(graph.inputs, (batch,) if isinstance(batch, np.ndarray) else batch):
            if name in wanted:
                ranges[name].update(given, rng)
        run_float(graph, batch, watch)
    wide = wide_owners(graph)
    return {
        name: found.wide_grid() if name in wide else found.grid(bits, rule) for name, found in ranges.items()
    }
