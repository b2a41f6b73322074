"""Streaming statistics of activations: what ranges the values of a network take on calibration data.

Memory does not grow with the number of samples: few are run at once, and what stays is minima, maxima and a
fixed-size random reservoir a value.
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
from smidgen.lower.grids import fixed_grids, grid_owners
from smidgen.numerics import Array
from smidgen.probe.parallel import ordered_map, thread_count
from smidgen.probe.reaches import wide_reaches
from smidgen.run.float_ops import run_float

Batch = Array | tuple[Array, ...]

RESERVOIR = 8192
MAX_BATCH = 64
BATCH_BYTES = 128 << 20  # of activations and unrolled windows, about, of one layer


@dataclass
class Range:
    """Running minimum, maximum and a uniform sample of everything seen."""

    lo: float = np.inf
    hi: float = -np.inf
    seen: int = 0
    sample: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def update(self, x: Array, rng: np.random.Generator) -> None:
        flat = np.asarray(x, dtype=np.float32).ravel()
        lo, hi = float(flat.min()), float(flat.max())
        if not np.isfinite(hi - lo):
            flat = flat[np.isfinite(flat)]  # where a function has no value, integers saturate
            if not flat.size:
                return
            lo, hi = float(flat.min()), float(flat.max())
        kept = flat if flat.size <= RESERVOIR else rng.choice(flat, RESERVOIR, replace=False)
        self.merge(Range(lo, hi, flat.size, kept), rng)

    def merge(self, other: Range, rng: np.random.Generator) -> None:
        """Take in what another one has seen."""
        if not other.seen:
            return
        self.lo, self.hi = min(self.lo, other.lo), max(self.hi, other.hi)
        # Old and new entries keep shares proportional to how much data each stands for.
        share = self.seen / (self.seen + other.seen)
        old = self.sample[: round(RESERVOIR * share)] if self.seen else self.sample
        self.sample = rng.permutation(np.concatenate([old, other.sample[: RESERVOIR - old.size]]))
        self.seen += other.seen

    @property
    def most(self) -> float:
        """The largest size of what was seen."""
        return max(abs(self.lo), abs(self.hi)) if self.seen else 0.0

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
    graph: Graph, batches: Iterable[Batch], bits: int, rule: RangeRule = "minmax", seed: int = 0
) -> dict[str, Grid]:
    """Grids by owner (see `lower.grids`) for a float graph in canonical form, from batches [n, ...].

    A batch of a graph with several inputs is a tuple of arrays; inputs that it leaves out start at rest.
    Batches run on several threads (`thread_count`) and are read no faster than they run; the result does not
    depend on the number of threads.
    """
    wanted = set(grid_owners(graph).values()) - set(fixed_grids(graph))
    ranges = {name: Range() for name in sorted(wanted)}
    rng = np.random.default_rng(seed)

    def look(numbered: tuple[int, Batch]) -> dict[str, Range]:
        number, batch = numbered
        return _ranges_of(graph, batch, wanted, np.random.default_rng((seed, number)))

    for found in ordered_map(look, enumerate(batches), thread_count()):
        for name in sorted(found):
            ranges[name].merge(found[name], rng)
    reach = wide_reaches(graph, {name: found.most for name, found in ranges.items()})
    return {
        name: Grid.wide(reach[name]) if name in reach else found.grid(bits, rule)
        for name, found in ranges.items()
    }


def batch_size(graph: Graph) -> int:
    """How many samples to run at once: 64, fewer where a layer's activations are large."""
    largest = max((_layer_bytes(graph, node) for node in graph.walk()), default=1)
    return int(min(max(BATCH_BYTES // max(largest, 1), 1), MAX_BATCH))


def _layer_bytes(graph: Graph, node: Node) -> int:
    """Float32 bytes of a layer's inputs and outputs for a sample, and of unrolled windows."""
    ports = [graph.values[name].size for name in (*node.inputs, *node.outputs) if name in graph.values]
    unrolled = 0
    if node.op == "conv" and node.output in graph.values:
        shape = graph.weights[node.params["weight"]].shape
        depthwise = node.attrs["groups"] == shape[0]
        unrolled = 0 if depthwise else graph.values[node.output].size // shape[0] * int(np.prod(shape[1:]))
    return 4 * (sum(ports) + unrolled)


def _ranges_of(graph: Graph, batch: Batch, wanted: set[str], rng: np.random.Generator) -> dict[str, Range]:
    """What the wanted values take on one batch."""
    found: dict[str, Range] = {}
    carried = carried_states(graph)

    def watch(node: Node, outputs: Sequence[Array]) -> None:
        for name, array in zip(node.outputs, outputs, strict=True):
            if (owner := carried.get(name, name)) in wanted:
                found.setdefault(owner, Range()).update(array, rng)

    for name, array in zip(graph.inputs, (batch,) if isinstance(batch, np.ndarray) else batch):
        if name in wanted:
            found.setdefault(name, Range()).update(array, rng)
    run_float(graph, batch, watch)
    return found
