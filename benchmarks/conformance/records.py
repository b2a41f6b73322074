"""What a run of the standard tests found, as plain data: kept as JSON and shown as a page."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.conformance.support import support
from benchmarks.conformance.verdicts import Outcome, Verdict
from smidgen.graph import Graph

RESULTS = Path(__file__).parents[1] / "results" / "operators.json"
PROBED = 6  # networks tried an operator: the first of its tests that left any operator in the graph


@dataclass(frozen=True)
class Group:
    """Tests of one operator (of one kind of model, where `op` is empty) with the same outcome and reason."""

    kind: str
    op: str
    outcome: str
    how: str
    reason: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """`support`: by operator, back end -> (networks that reach it, networks tried); `onnx`: its version."""

    onnx: str
    groups: tuple[Group, ...]
    support: Mapping[str, Mapping[str, tuple[int, int]]]

    def write(self, path: Path = RESULTS) -> None:
        data = {"onnx": self.onnx, "groups": [asdict(g) for g in self.groups], "support": self.support}
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(path: Path = RESULTS) -> Record:
        data = json.loads(path.read_text(encoding="utf-8"))
        groups = tuple(Group(**{**g, "tests": tuple(g["tests"])}) for g in data["groups"])
        pairs = {op: {k: tuple(v) for k, v in row.items()} for op, row in data["support"].items()}
        return Record(data["onnx"], groups, pairs)  # type: ignore[arg-type]


def grouped(verdicts: Iterable[Verdict]) -> tuple[Group, ...]:
    """Verdicts by operator, outcome and reason, in the order of their names."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for v in verdicts:
        key = (v.case.kind, v.case.op, v.outcome.name.lower(), v.how, _general(v.reason, v.case.name))
        found[key].append(v.case.name)
    return tuple(Group(*key, tests=tuple(sorted(names))) for key, names in sorted(found.items()))


def _general(reason: str, test: str) -> str:
    """A reason without the test's own name, so that alike ones meet."""
    return reason.replace(test, "test").replace("\n", " ")


def probed(verdicts: Sequence[Verdict], ops: Iterable[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """How many captured networks of each operator's tests reach each back end."""
    networks: dict[str, list[Graph]] = defaultdict(list)
    for v in verdicts:
        if v.outcome == Outcome.CAPTURED and v.case.op and v.graph is not None and v.graph.nodes:
            networks[v.case.op].append(v.graph)
    return {op: _counted([support(g) for g in networks[op][:PROBED]]) for op in sorted(ops)}


def _counted(tried: Sequence[Mapping[str, bool]]) -> dict[str, tuple[int, int]]:
    reached = Counter(column for row in tried for column, works in row.items() if works)
    return {column: (reached[column], len(tried)) for column in (tried[0] if tried else ())}
