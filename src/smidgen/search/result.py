"""What a search found: the frontier, the point to ship, and how sure we are. Decided on validation only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smidgen.data.metrics import ACCURACY, Metric
from smidgen.errors import BudgetError
from smidgen.search.budget import Budget
from smidgen.search.drops import mean_drop, paired_drop
from smidgen.search.frontier import dominates, non_dominated
from smidgen.search.outcome import Array, Evaluated, Failed, Outcome, Point, Rejected
from smidgen.search.paired import Clusters, Drop


@dataclass(frozen=True)
class Goal:
    """What is asked for.

    `costs` are measurement names, the size axis first; `max_drop` is the largest mean paired drop in
    validation, percentage points or in the metric's own unit; with `strict_drop` the upper end of its 95%
    interval has to keep it as well.
    """

    budget: Budget
    costs: tuple[str, ...]
    max_drop: float = 1.0
    strict_drop: bool = False
    metric: Metric = ACCURACY


@dataclass(frozen=True)
class Result:
    """Everything a report shows. `reference` is the uncompressed network; `drops` by point key."""

    goal: Goal
    folder: Path
    reference: Evaluated
    reference_test: Evaluated | None
    outcomes: tuple[Outcome, ...]
    frontier: tuple[Point, ...]
    chosen: Point | None
    beaten_by: tuple[Point, ...]
    drops: Mapping[str, Drop]
    interrupted: bool
    elapsed_s: float

    @property
    def points(self) -> tuple[Point, ...]:
        return points_of(self.outcomes)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        return tuple(o for o in self.outcomes if isinstance(o, Rejected))

    @property
    def failed(self) -> tuple[Failed, ...]:
        return tuple(o for o in self.outcomes if isinstance(o, Failed))

    def require_chosen(self) -> Point:
        """The point to ship. Raises BudgetError that says how close the search came."""
        if self.chosen is None:
            raise BudgetError("search", *_shortfall(self))
        return self.chosen


def points_of(outcomes: Sequence[Outcome]) -> tuple[Point, ...]:
    return tuple(o for o in outcomes if isinstance(o, Point))


def frontier_of(points: Sequence[Point], costs: Sequence[str]) -> tuple[Point, ...]:
    """The non-dominated points by mean validation accuracy and `costs`, cheapest first."""
    if not points:
        return ()
    keep = non_dominated([p.accuracy for p in points], [[p.cost(c) for c in costs] for p in points])
    return tuple(sorted((points[i] for i in keep), key=lambda p: (p.cost(costs[0]), -p.accuracy)))


def drops_of(
    points: Sequence[Point],
    reference: Evaluated,
    metric: Metric,
    targets: Array,
    clusters: Clusters | None = None,
) -> dict[str, Drop]:
    """Paired validation drops from the reference, by key."""
    return {p.key: _drop(p, reference, metric, targets, clusters) for p in points}


def choose(
    points: Sequence[Point],
    goal: Goal,
    reference: Evaluated,
    targets: Array,
    clusters: Clusters | None = None,
) -> Point | None:
    """The smallest compressed point that fits the budget and loses at most `max_drop`; ties by accuracy."""

    def eligible(p: Point) -> bool:
        if p.kind != "compressed" or goal.budget.fits(p.measurements):
            return False
        found = [run.predictions for run in p.runs]
        mean = mean_drop(goal.metric, reference.predictions, found, targets)
        if mean > goal.max_drop or not goal.strict_drop:
            return mean <= goal.max_drop
        return _drop(p, reference, goal.metric, targets, clusters).high <= goal.max_drop

    ordered = sorted(points, key=lambda p: (p.cost(goal.costs[0]), -p.accuracy))
    return next(filter(eligible, ordered), None)


def _drop(
    point: Point, reference: Evaluated, metric: Metric, targets: Array, clusters: Clusters | None
) -> Drop:
    found = [run.predictions for run in point.runs]
    return paired_drop(metric, reference.predictions, found, targets, clusters)


def beaten_by(chosen: Point | None, points: Sequence[Point], goal: Goal) -> tuple[Point, ...]:
    """Baselines at least as small and as accurate as the chosen point, and better in one of the two."""
    if chosen is None:
        return ()
    size = goal.costs[0]
    mine = (chosen.accuracy, [chosen.cost(size)])
    return tuple(p for p in points if p.kind != "compressed" and dominates(p.accuracy, [p.cost(size)], *mine))


def _shortfall(result: Result) -> tuple[str, str, str]:
    """(found, expected, remedy) when nothing could be chosen."""
    budget, own = result.goal.budget, [p for p in result.points if p.kind == "compressed"]
    if not own:
        return _unbuilt(result)
    points = " points" if result.goal.metric.unit == "%" else ""
    end = " at the upper end of the interval" if result.goal.strict_drop else ""
    wanted = f"at most {result.goal.max_drop:g}{points} of {result.goal.metric.name} may be lost{end}"
    fitting = [p for p in own if not budget.fits(p.measurements)]
    if not fitting:
        closest = min(own, key=lambda p: budget.excess(p.measurements))
        why = "; ".join(budget.fits(closest.measurements))
        return (
            f"no candidate fits; the closest is {closest.label} ({why})",
            "",
            "Allow more, or search longer",
        )
    best = min(fitting, key=lambda p: result.drops[p.key].points)
    found = f"the best candidate that fits, {best.label}, loses {result.drops[best.key]}"
    return found, wanted, "Raise --max-drop or the budget, or search longer"


def _unbuilt(result: Result) -> tuple[str, str, str]:
    """The same where no compressed candidate was measured: why, and how close a baseline comes."""
    reasons = [o.reason for o in result.failed] + [o.reason for o in result.rejected]
    why = reasons[0].rstrip(".") if reasons else "no time was left to try any"
    found, budget = f"no candidate was built ({why})", result.goal.budget
    closest = min(result.points, key=lambda p: budget.excess(p.measurements), default=None)
    if closest and (misses := budget.fits(closest.measurements)):
        found += f"; even {closest.label} does not fit ({'; '.join(misses)})"
    return found, "", "Give the search more time or a larger budget"
