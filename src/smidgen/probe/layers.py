"""Two networks side by side on the same samples: which layer differs first, and which one is to blame.

Ref: signal-to-quantization-noise per layer as in Nagel et al. 2021 (arXiv 2106.08295), section 5 (debugging).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from smidgen.errors import BadInput
from smidgen.graph.core import Value
from smidgen.numerics import Array
from smidgen.probe.align import Unaligned, align
from smidgen.probe.signal import Signal
from smidgen.probe.trace import GraphTrace, Traced, real

Report = Callable[[float, str], None]
BATCH = 32
BATCH_BYTES = 128 << 20  # that a batch's values may take: memory does not grow with the number of samples
THRESHOLD_DB = 20.0  # a tenth of the amplitude is noise


@dataclass(frozen=True)
class Difference:
    """The first integer that differs: `index` within sample `sample`, `a` and `b` as stored."""

    sample: int
    index: tuple[int, ...]
    a: int
    b: int


@dataclass(frozen=True)
class LayerMatch:
    """One layer of B against its counterpart in A.

    `sqnr_db`: both run end to end. `alone_db`: the layer of B fed with A's true values, rounded onto its own
    inputs' grids (NaN where it can't be run alone). `drop_db`: what it loses against the worst of its inputs.
    `differing` counts stored numbers, of `compared`, where both are integers on one grid (else None).
    `rescaled`: channels have other scales than in A; the ratios are those after undoing it.
    """

    layer: str
    op: str
    value: str
    sqnr_db: float
    alone_db: float
    drop_db: float
    worst_channel: int
    largest_error: float
    rescaled: bool = False
    differing: int | None = None
    compared: int = 0
    first: Difference | None = None

    @property
    def title(self) -> str:
        """`conv1 → relu1` where the layer's value is called otherwise, as behind a fused activation."""
        return self.layer if self.layer == self.value else f"{self.layer} → {self.value}"


@dataclass(frozen=True)
class Matches:
    """All layers that could be compared, in order, what could not be, and the ratio of the output."""

    layers: tuple[LayerMatch, ...]
    unaligned: tuple[Unaligned, ...]
    output_db: float
    exact: bool  # both are integers, so that values are compared bit for bit

    @property
    def divergent(self) -> LayerMatch | None:
        """The first layer with a differing bit; for real numbers, the first below THRESHOLD_DB."""
        if self.exact:
            return next((layer for layer in self.layers if layer.differing), None)
        return next((layer for layer in self.layers if layer.sqnr_db < THRESHOLD_DB), None)

    @property
    def steepest(self) -> LayerMatch | None:
        """The layer at which the ratio falls most."""
        falling = [layer for layer in self.layers if layer.drop_db > 0]
        return max(falling, key=lambda layer: layer.drop_db, default=None)


class _Tally:
    """What is collected about one value of B and its counterpart in A."""

    def __init__(self, a: Value, b: Value) -> None:
        self.a, self.b = a, b
        self.together, self.own = Signal(), Signal()
        self.bitwise = all(value.dtype != "float32" for value in (a, b)) and a.grid == b.grid
        self.differing = self.compared = 0
        self.first: Difference | None = None

    def update(self, start: int, a: Array, b: Array) -> None:
        """Add a batch that begins at sample `start`, both as stored."""
        self.together.update(real(a, self.a, self.b), real(b, self.b, self.a))
        if self.bitwise:
            self.compared += a.size
            places = a != b
            self.differing += int(places.sum())
            if self.first is None and places.any():
                sample, *index = (int(i) for i in np.argwhere(places)[0])
                at = (sample, *index)
                self.first = Difference(start + sample, tuple(index), int(a[at]), int(b[at]))


class LayerComparison:
    """Runs A and B on batches of real inputs; `matches` says what was found. Memory does not grow."""

    def __init__(self, a: GraphTrace, b: Traced) -> None:
        """Raises BadInput if nothing of the two can be aligned."""
        self.a, self.b = a, b
        self.alignment = align(a.graph, b.layout)
        self.tallies = {
            name: _Tally(a.layout.values[other], b.layout.values[name])
            for name, other in self.alignment.pairs.items()
        }
        if not set(self.tallies) - set(a.graph.inputs):
            expected = "the names and shapes of layers tell what belongs together"
            raise BadInput("compare", "A and B have no layer in common", expected, "Compare related networks")
        self.output = Signal()

    @property
    def batch_size(self) -> int:
        """As many samples as have room for all their values."""
        return max(min(BATCH, BATCH_BYTES // max(self.a.batch_bytes, 1)), 1)

    def run(self, x: Array, report: Report) -> tuple[Array, Array]:
        """Both end to end; their real outputs [n, ...]."""
        outputs: list[tuple[Array, Array]] = []
        for start, batch in self._batches(x):
            report(start / len(x), "running both networks")
            wanted, made = self.a.values(batch), self.b.values(batch)
            for name, tally in self.tallies.items():
                tally.update(start, wanted[self.alignment.pairs[name]], made[name])
            ends = self._real_output(self.a, wanted), self._real_output(self.b, made)
            if ends[0].shape[1:] != ends[1].shape[1:]:
                shapes = (list(end.shape[1:]) for end in ends)
                raise BadInput("compare", f"A gives {next(shapes)} a sample", f"B gives {next(shapes)}")
            self.output.update(*ends)
            outputs.append(ends)
        return np.concatenate([e[0] for e in outputs]), np.concatenate([e[1] for e in outputs])

    def run_alone(self, x: Array, report: Report) -> None:
        """Each layer of B on A's true values, which follow the scales that B's channels have."""
        if not isinstance(self.b, GraphTrace):
            return
        gains = {n: t.together.gains for n, t in self.tallies.items() if t.together.rescaled}
        for start, batch in self._batches(x):
            report(start / len(x), "running every layer alone")
            values = self.a.values(batch)

            def wanted(name: str, values: dict[str, Array] = values) -> Array | None:
                if name not in self.tallies:
                    return None
                tally = self.tallies[name]
                true = real(values[self.alignment.pairs[name]], tally.a, tally.b)
                return true * gains[name].astype(np.float32) if name in gains else true

            for name, made in self.b.alone(batch, wanted):
                if (true := wanted(name)) is not None:
                    tally = self.tallies[name]
                    tally.own.update(true, real(made, tally.b, tally.a))

    def matches(self) -> Matches:
        """What was found so far."""
        ratios = {name: _ratio(tally.together) for name, tally in self.tallies.items()}
        layers = tuple(self._match(name, tally, ratios) for name, tally in self.tallies.items())
        ends = (self.a.layout, self.b.layout)
        exact = all(end.values[end.output].dtype != "float32" for end in ends)
        return Matches(layers, self.alignment.unaligned, self.output.sqnr_db, exact)

    def _match(self, name: str, tally: _Tally, ratios: Mapping[str, float]) -> LayerMatch:
        layout = self.b.layout
        layer = layout.layers.get(name, name)
        before = [ratios[v] for v in layout.reads.get(layer, ()) if not math.isnan(ratios.get(v, math.nan))]
        drop = min(before) - ratios[name] if before else math.nan
        return LayerMatch(
            layer,
            layout.ops.get(layer, "input"),
            name,
            ratios[name],
            tally.own.sqnr_db,
            0.0 if math.isnan(drop) else drop,
            tally.together.worst_channel,
            tally.together.largest_error,
            tally.together.rescaled,
            tally.differing if tally.bitwise else None,
            tally.compared,
            tally.first,
        )

    def _real_output(self, side: Traced, values: Mapping[str, Array]) -> Array:
        name = side.layout.output
        return real(values[name], side.layout.values[name])

    def _batches(self, x: Array) -> Iterator[tuple[int, Array]]:
        for start in range(0, len(x), self.batch_size):
            yield start, x[start : start + self.batch_size]


def _ratio(signal: Signal) -> float:
    return signal.unscaled_db if signal.rescaled else signal.sqnr_db
