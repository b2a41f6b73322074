"""The report: everything a run found, as one document with a JSON round trip.

Scores are in the metric's unit, accuracies in percent; drops are positive where something is lost. Costs are
`Measurement`s, named as in budgets (`file_bytes`, `flash_bytes`, `ram_bytes`, `latency_ms`, …), each with how
it was obtained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smidgen.errors import BadFile
from smidgen.files import write_whole
from smidgen.measurement import How, Measurement

SCHEMA_VERSION = 1  # raise when a reader of the old version would misread the new one

Kind = Literal["compressed", "width baseline", "other model", "uncompressed"]
ArtifactClass = Literal["integer", "weight_only", "approximate"]
Better = Literal["higher", "lower"]
BASELINES: tuple[Kind, ...] = ("width baseline", "other model")
SHOWN_COSTS = ("file_bytes", "ram_bytes", "latency_ms", "throughput", "energy_uj", "cost_per_million_usd")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Score(_Record):
    """The metric, accuracy in percent unless the report names another, over `seeds` trainings.

    `sd` is the sample standard deviation (0 for one); `unit` is % or empty, the targets' own.
    """

    mean: float
    sd: float = Field(default=0.0, ge=0)
    seeds: int = Field(default=1, ge=1)
    unit: str = "%"
    better: Better = "higher"

    @property
    def gain(self) -> float:
        """The mean, its sign turned where lower is better: what scores are compared by."""
        return self.mean if self.better == "higher" else -self.mean


class Drop(_Record):
    """What is lost on paired samples (negative: gained), with a 95% interval: percentage points, or in the
    metric's own unit where `unit` is not %.

    `clusters` were drawn for it (None: samples); `mcnemar_p` is the p-value of no difference in accuracy for
    the shipped seed, where samples are independent.
    """

    points: float
    low: float
    high: float
    unit: str = "%"
    better: Better = "higher"
    clusters: int | None = None
    mcnemar_p: float | None = None


class Point(_Record):
    """A network that was built and measured.

    `recipe` is for people, `recipe_yaml` for the machine. `test` is known for points of the frontier only.
    `drop` is the paired loss against the uncompressed network on validation. `artifact` is a path.
    """

    id: str
    label: str
    kind: Kind
    recipe: str = ""
    recipe_yaml: str = ""
    measurements: tuple[Measurement, ...] = ()
    validation: Score
    test: Score | None = None
    drop: Drop | None = None
    on_frontier: bool = False
    chosen: bool = False
    artifact: str = ""
    notes: tuple[str, ...] = ()

    def measurement(self, name: str) -> Measurement | None:
        return next((m for m in self.measurements if m.name == name), None)


class Layer(_Record):
    """A node of the chosen artifact. `shape` is its output's, `weight_shape` its weight's.

    Bytes are of all its parameters: `raw_bytes` as float32, `packed_bytes` as a device keeps them,
    `coded_bytes` in the file after entropy coding (None: not known). `bits` is packed bits for each weight,
    scales and positions included. `time_share` is its fraction of the latency, 0..1, obtained as `time_how`.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    weight_shape: tuple[int, ...] = ()
    format: str = ""
    bits: float | None = None
    raw_bytes: int = 0
    packed_bytes: int = 0
    coded_bytes: int | None = None
    macs: int = 0
    time_share: float | None = Field(default=None, ge=0, le=1)
    time_how: How = "measured"


class Dropped(_Record):
    """A candidate that became no point: `rejected` before any work, or `failed` while it was built."""

    id: str
    label: str
    status: Literal["rejected", "failed"]
    reason: str


class Note(_Record):
    """Something the user should know, and what to do about it."""

    level: Literal["info", "warning"]
    text: str
    remedy: str = ""


class Environment(_Record):
    """What it takes to run it again. `command` is the full command line."""

    command: str = ""
    created: str = ""
    cpu: str = ""
    platform: str = ""
    seeds: tuple[int, ...] = ()
    data_digest: str = ""
    versions: dict[str, str] = {}


class Report(_Record):
    """One run. `points` includes the baselines; `uncompressed` is the network that was brought.

    `size_axis` is the cost that the frontier is drawn over first; `budget` maps measurement names to limits;
    `reused_steps` counts steps that were taken over from an earlier candidate that begins alike. With
    `strict_drop` the upper end of a drop's interval has to keep `max_drop`. `sources` says, by measurement,
    which figures from elsewhere it is computed from.
    `features` says what the host computes before the network (nothing: ""); no cost includes it.
    """

    schema_version: Literal[1] = 1
    task: str
    description: str = ""
    caveats: str = ""
    features: str = ""
    metric: str = "accuracy"
    target: str
    target_description: str = ""
    size_axis: Literal["flash_bytes", "file_bytes"]
    budget: dict[str, float] = {}
    max_drop: float | None = None
    strict_drop: bool = False
    sources: dict[str, str] = {}
    artifact_class: ArtifactClass = "integer"
    uncompressed: Point
    points: tuple[Point, ...] = ()
    layers: tuple[Layer, ...] = ()
    notes: tuple[Note, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    reused_steps: int = 0
    environment: Environment = Environment()

    @property
    def chosen(self) -> Point | None:
        return next((p for p in self.points if p.chosen), None)

    @property
    def frontier(self) -> tuple[Point, ...]:
        """Points of the frontier, smallest first."""
        return tuple(sorted((p for p in self.points if p.on_frontier), key=lambda p: self.cost(p)))

    def cost(self, point: Point, name: str = "") -> float:
        """A cost of a point (the size axis by default); infinity where it was not measured."""
        found = point.measurement(name or self.size_axis)
        return float("inf") if found is None else found.value

    @property
    def everything(self) -> Iterator[Point]:
        """The uncompressed network, then all points."""
        yield self.uncompressed
        yield from self.points

    def measured_costs(self) -> tuple[str, ...]:
        """Names of the costs that tables show, the size axis first: those that any point has."""
        names = {m.name for p in self.points for m in p.measurements}
        return tuple(name for name in dict.fromkeys((self.size_axis, *SHOWN_COSTS)) if name in names)


def write_report(report: Report, path: Path) -> None:
    """Write `report.json`, whole or not at all."""
    write_whole(path, report.model_dump_json(indent=1) + "\n")


def read_report(path: Path) -> Report:
    """Inverse of `write_report`. Raises BadFile for anything else, naming the first field that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        version = _version(json.loads(text))
    except (OSError, ValueError) as problem:
        raise BadFile(str(path), "not a readable report", "report.json of a run is needed") from problem
    if version != SCHEMA_VERSION:
        expected = f"this version of smidgen reads {SCHEMA_VERSION}"
        raise BadFile(str(path), f"report version {version!r}", expected, "Make the report again")
    try:
        return Report.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "document"
        raise BadFile(str(path), f"{place}: {first['msg'].lower()}", "", "Make the report again") from problem


def _version(data: object) -> object:
    return data.get("schema_version") if isinstance(data, Mapping) else None
