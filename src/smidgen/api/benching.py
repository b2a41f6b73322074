"""Artifacts against what a user would run instead, timed in turns in one process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import BadInput, SmidgenError
from smidgen.graph import Graph
from smidgen.measure.baselines import baselines
from smidgen.measure.contender import Contender, contender
from smidgen.measure.timing import Timings, interleaved_for
from smidgen.measurement import Measurement
from smidgen.run.cpu import cpu_name
from smidgen.run.threads import chosen_threads

Tell = Callable[[float, str], None]
CALIBRATION_SAMPLES = 8


@dataclass(frozen=True)
class Bench:
    """What `bench` found.

    Attributes:
        artifacts: what was asked for, in that order.
        baselines: the same network in other runtimes, the fastest first.
        times: all of them, by name.
        not_timed: why a baseline is missing, by name.
    """

    batch: int
    threads: int
    artifacts: tuple[Contender, ...]
    baselines: tuple[Contender, ...]
    times: Timings
    not_timed: Mapping[str, str]

    def speedup(self, one: Contender, baseline: Contender) -> Measurement:
        """How many times faster `one` is than `baseline`; below 1 it is slower."""
        return self.times.speedup(baseline.name, one.name)

    def to_dict(self) -> dict[str, Any]:
        """All numbers: seconds as medians with interquartile ranges, and speedups over every baseline."""
        rows = [
            {
                "name": one.name,
                "runtime": one.runtime,
                "baseline": one in self.baselines,
                "times": [m.to_dict() for m in self.times.latency(one.name)],
                "speedup_over": {
                    other.name: self.speedup(one, other).to_dict() for other in self.baselines if other != one
                },
            }
            for one in (*self.artifacts, *self.baselines)
        ]
        rest = {"rows": rows, "not_timed": dict(self.not_timed)}
        return {"cpu": cpu_name(), "batch": self.batch, "threads": self.threads, **rest}


def bench(
    paths: Sequence[Path],
    batch: int = 1,
    seconds: float = 5.0,
    tell: Tell = lambda fraction, message: None,
    threads: int = 1,
) -> Bench:
    """Time artifacts (.smg files, ONNX files, folders of C projects) for about `seconds` in all.

    The baselines hold the network of the first artifact that can be read as one. Int8 baselines of a float
    network are calibrated on noise: their time does not depend on it. Everything but C projects gets
    `threads` threads.

    Raises:
        BadInput, BadFile: an artifact or a number can't be used.
        MissingExtra: an artifact needs a package.
    """
    if batch < 1:
        raise BadInput("batch", str(batch), "at least one sample is needed")
    chosen_threads(threads)
    found = []
    for path in paths:
        tell(0.0, f"opening {path}")
        found.append(contender(path, batch, threads))
    with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
        (real, whole), reasons = _networks(found, paths)
        rivals: list[Contender] = []
        for name, opened in baselines(real, whole, batch, Path(scratch), threads):
            tell(0.0, f"preparing {name}")
            if isinstance(opened, SmidgenError):
                reasons[name] = str(opened)
            else:
                rivals.append(opened)
        named = _distinct(found)
        calls = {one.name: one.call for one in (*named, *rivals)}
        times = interleaved_for(calls, seconds, lambda fraction: tell(fraction, "timing in turns"))
    rivals.sort(key=lambda rival: float(np.median(times.seconds[rival.name])))
    return Bench(batch, threads, named, tuple(rivals), times, reasons)


def _distinct(found: Sequence[Contender]) -> tuple[Contender, ...]:
    """Files of one name in several folders get numbers."""
    names = [one.name for one in found]
    return tuple(
        replace(one, name=f"{one.name} ({i})") if names.count(one.name) > 1 else one
        for i, one in enumerate(found, 1)
    )


Networks = tuple[Graph | None, Graph | None]  # of real numbers, of integers


def _networks(found: Sequence[Contender], paths: Sequence[Path]) -> tuple[Networks, dict[str, str]]:
    """The network of the first artifact that can be read as one, and why others can't."""
    reasons: dict[str, str] = {}
    for one, path in zip(found, paths, strict=True):
        networks = _network(one, path)
        if not isinstance(networks, SmidgenError):
            return networks, {}
        reasons[f"the network of {path}"] = str(networks)
    return (None, None), reasons


def _network(one: Contender, path: Path) -> Networks | SmidgenError:
    try:
        graph = one.graph or _loaded(path)
        return (None, graph) if graph.is_integer else (graph, _quantized(graph))
    except SmidgenError as problem:
        return problem


def _loaded(path: Path) -> Graph:
    from smidgen.load import load

    if path.is_dir():
        raise BadInput(str(path), "a C project does not hold the network", "", "Add its .smg file")
    return load(path)


def _quantized(graph: Graph) -> Graph:
    from smidgen.data.dataset import Dataset, Splits
    from smidgen.lower import lower
    from smidgen.methods.quantize.affine import AffineQuantization
    from smidgen.methods.step import Context

    shape = graph.values[graph.inputs[0]].shape
    x = np.random.default_rng(0).standard_normal((CALIBRATION_SAMPLES, *shape)).astype(np.float32)
    part = Dataset(x, np.zeros(len(x), np.int64))
    return lower(AffineQuantization().apply(graph, Context(Splits(part, part, part, 2), graph)))
