"""The search loop: try candidates, keep what they became, confirm the best with more seeds, test once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from smidgen.data.metrics import ACCURACY, Metric
from smidgen.errors import MissingExtra, Unwritable
from smidgen.search.clock import Clock
from smidgen.search.outcome import Array, Candidate, Evaluated, Failed, Outcome, Point, Rejected
from smidgen.search.paired import Clusters
from smidgen.search.records import TEST, read_outcomes, write_evaluated, write_outcome
from smidgen.search.refine import LONGER, near_misses
from smidgen.search.result import Goal, Result, beaten_by, choose, drops_of, frontier_of, points_of
from smidgen.search.run_folder import RunFolder
from smidgen.search.searcher import Searcher

IDLE_LIMIT = 200  # proposals in a row that are known or can't fit: the space is used up
BASELINE_SHARE = 0.3
REFINE_AFTER = 0.55  # of the time: from then on near misses are trained longer
EXPLORE_SHARE = 0.8  # of the time, if more seeds are to follow


class Evaluator(Protocol):
    """Builds and measures candidates. Deterministic in (candidate, seed), times aside."""

    @property
    def labels(self) -> Array:
        """The validation split's targets [n, ...]: labels or values."""

    @property
    def clusters(self) -> Clusters | None:
        """Which validation samples belong together [n], None if each stands alone."""

    def reference(self, test: bool) -> Evaluated:
        """The uncompressed network on the validation split (or the test split)."""

    def precheck(self, candidate: Candidate) -> str | None:
        """Why the candidate can't fit, known without training it; None if it may."""

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        """Build the real artifact in `folder` (exists, empty), run it on validation."""

    def test(self, point: Point, run: Evaluated) -> Evaluated:
        """Run the artifact of one of the point's seeds on the test split."""


class Ahead(Protocol):
    """Builds what is going to be evaluated, several candidates at once."""

    @property
    def size(self) -> int:
        """How many candidates a round should have."""

    def prepare(self, jobs: Sequence[tuple[Candidate, int]]) -> None:
        """Build (candidate, seed) pairs for the evaluator to find, or leave them to it."""


class OneByOne:
    """Nothing is built ahead: the evaluator does all work when asked."""

    size = 1

    def prepare(self, jobs: Sequence[tuple[Candidate, int]]) -> None: ...


@dataclass(frozen=True)
class Limits:
    """A search ends after `trials` built candidates or `time_s` seconds (None: no limit)."""

    trials: int | None = None
    time_s: float | None = None
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Progress:
    """What a search is doing. `left_s` and `trials` are None without a limit; `best` is the point so far."""

    phase: str
    message: str
    built: int
    trials: int | None
    elapsed_s: float
    left_s: float | None
    best: Point | None
    metric: Metric = ACCURACY


class Search:
    """One search in one (locked) run folder; `run()` may be killed at any moment and called anew."""

    def __init__(
        self,
        evaluator: Evaluator,
        searcher: Searcher,
        folder: RunFolder,
        goal: Goal,
        limits: Limits,
        baselines: Sequence[Candidate] = (),
        progress: Callable[[Progress], None] = lambda progress: None,
        ahead: Ahead | None = None,
    ) -> None:
        self._ahead: Ahead = ahead or OneByOne()
        self._evaluator, self._searcher, self._folder = evaluator, searcher, folder
        self._goal, self._limits, self._progress = goal, limits, progress
        self._baselines = tuple(baselines)
        self._seeds = tuple(sorted(limits.seeds))
        self._outcomes: dict[Candidate, Outcome] = {}
        self._phase = "start"

    def run(self) -> Result:
        """Search until a limit is reached or Ctrl-C, then open the test split for the frontier."""
        self._clock = Clock(self._limits.time_s)
        earlier = list(read_outcomes(self._folder.trials))
        self._outcomes = {outcome.candidate: outcome for outcome in earlier}
        self._searcher.resume(earlier)
        self._reference = self._evaluator.reference(test=False)
        interrupted = False
        try:
            self._explore()
            self._confirm()
        except KeyboardInterrupt:
            interrupted = True
            self._report("interrupted: finishing with what was found")
        return self._result(interrupted)

    # Phases

    def _explore(self) -> None:
        self._phase = "search"
        if self._built() == 0 and self._limits.trials != 0:
            self._try_next(1)  # something valid exists, however short the time and slow the baselines
        waiting = [baseline for baseline in self._baselines if baseline not in self._outcomes]
        while waiting and self._clock.allows(BASELINE_SHARE):
            self._carry_out_round(waiting[: self._ahead.size])
            waiting = waiting[self._ahead.size :]
        share, idle = (EXPLORE_SHARE if len(self._seeds) > 1 else 1.0), 0
        while idle < IDLE_LIMIT and self._may_try(share):
            worked = self._refine(share) or self._try_next(self._ahead.size)
            idle = 0 if worked else idle + 1

    def _refine(self, share: float) -> bool:
        """Train near misses longer, once the search has used most of its time; False if there are none."""
        if self._clock.allows(REFINE_AFTER) or not self._clock.allows(share, LONGER):
            return False
        found = near_misses(points_of(self._in_order()), self._chosen(), self._goal)
        new = [candidate for candidate in found if candidate not in self._outcomes][: self._ahead.size]
        self._carry_out_round(new)
        return bool(new)

    def _confirm(self) -> None:
        """Measure the points of the size frontier with the other seeds, the chosen one first."""
        self._phase = "confirm"
        while self._clock.allows() and (point := self._unconfirmed()) is not None:
            done = {run.seed for run in point.runs}
            missing = [seed for seed in self._seeds if seed not in done][: self._ahead.size]
            self._report(f"seed {', '.join(map(str, missing))} of {point.label}")
            self._ahead.prepare([(point.candidate, seed) for seed in missing])
            for seed in missing:
                outcome = self._outcomes[point.candidate]
                if isinstance(outcome, Point):
                    self._outcomes[point.candidate] = self._confirmed(outcome, seed)

    def _result(self, interrupted: bool) -> Result:
        self._phase = "test"
        points = points_of(self._in_order())
        chosen = self._chosen()
        shown = frontier_of(points, self._goal.costs)
        for point in shown if chosen is None or chosen in shown else (*shown, chosen):
            self._outcomes[point.candidate] = self._tested(point)
        points = points_of(self._in_order())
        tested = None if not points else self._evaluator.reference(test=True)
        chosen = self._chosen()
        return Result(
            goal=self._goal,
            folder=self._folder.path,
            reference=self._reference,
            reference_test=tested,
            outcomes=self._in_order(),
            frontier=frontier_of(points, self._goal.costs),
            chosen=chosen,
            beaten_by=beaten_by(chosen, points, self._goal),
            drops=drops_of(points, self._reference, self._goal.metric, *self._truth),
            interrupted=interrupted,
            elapsed_s=self._clock.elapsed_s,
        )

    # Candidates

    def _try_next(self, most: int) -> bool:
        """Ask for up to `most` recipes and carry them out; False if that took no work."""
        if self._limits.trials is not None:
            most = min(most, self._limits.trials - self._built())
        new: dict[Candidate, None] = {}
        for _ in range(most):
            candidate = Candidate(self._searcher.ask())
            if (known := self._outcomes.get(candidate)) is not None:
                self._searcher.tell(candidate.recipe, known)
            else:
                new[candidate] = None
        outcomes = self._carry_out_round(tuple(new))
        for outcome in outcomes:
            self._searcher.tell(outcome.candidate.recipe, outcome)
        return any(not isinstance(outcome, Rejected) for outcome in outcomes)

    def _carry_out_round(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """Carry out candidates that are unknown so far; the outcomes in the same order."""
        started = time.monotonic()
        if len(candidates) > 1:
            self._report(f"building {len(candidates)} at once")
        self._ahead.prepare([(candidate, self._seeds[0]) for candidate in candidates])
        outcomes = [self._carry_out(candidate) for candidate in candidates]
        if any(isinstance(outcome, Point) for outcome in outcomes):
            self._clock.record(time.monotonic() - started)
        return outcomes

    def _carry_out(self, candidate: Candidate) -> Outcome:
        key = f"{self._next_number():04d}"
        self._report(candidate.label)
        outcome: Outcome
        try:
            reason = self._evaluator.precheck(candidate)
            outcome = self._build(key, candidate) if reason is None else Rejected(key, candidate, reason)
        except (MissingExtra, Unwritable, OSError):
            raise  # the machine's trouble, not the candidate's
        except Exception as problem:
            # A method that fails on this network must not end the search; the report lists it.
            outcome = Failed(key, candidate, f"{type(problem).__name__}: {problem}")
        if not isinstance(outcome, Point):
            with self._folder.appearing(self._folder.trial(key)) as temporary:
                write_outcome(temporary, outcome)
        self._outcomes[candidate] = outcome
        return outcome

    def _build(self, key: str, candidate: Candidate) -> Point:
        final = self._folder.trial(key)
        with self._folder.appearing(final) as temporary:
            run = self._measure(candidate, self._seeds[0], temporary / f"seed-{self._seeds[0]}")
            point = Point(key, candidate, (run,), final)
            write_outcome(temporary, point)
        return point

    def _confirmed(self, point: Point, seed: int) -> Outcome:
        """The point with one more seed. A recipe that fails with one of the seeds is not to be relied on."""
        try:
            return self._with_seed(point, seed)
        except (MissingExtra, Unwritable, OSError):
            raise
        except Exception as problem:
            reason = f"seed {seed}: {type(problem).__name__}: {problem}"
            failed = Failed(point.key, point.candidate, reason)
            write_outcome(point.folder, failed)
            return failed

    def _with_seed(self, point: Point, seed: int) -> Point:
        with self._folder.appearing(point.folder / f"seed-{seed}") as temporary:
            run = self._measure(point.candidate, seed, temporary)
        return replace(point, runs=tuple(sorted((*point.runs, run), key=lambda run: run.seed)))

    def _measure(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        folder.mkdir(exist_ok=True)
        run = self._evaluator.evaluate(candidate, seed, folder)
        write_evaluated(folder, run)
        return run

    def _tested(self, point: Point) -> Point:
        """With each seed run on the test split, unless an earlier process did."""
        known = {run.seed: run for run in point.test}
        for run in point.runs:
            if run.seed not in known:
                known[run.seed] = self._evaluator.test(point, run)
                write_evaluated(point.folder / f"seed-{run.seed}", known[run.seed], TEST)
        return replace(point, test=tuple(known[run.seed] for run in point.runs))

    # State

    def _may_try(self, share: float) -> bool:
        enough = self._limits.trials is not None and self._built() >= self._limits.trials
        return not enough and self._clock.allows(share)

    def _built(self) -> int:
        """Candidates that cost work, baselines aside."""
        tried = [o for o in self._outcomes.values() if not isinstance(o, Rejected)]
        return sum(o.candidate.kind == "compressed" for o in tried)

    def _unconfirmed(self) -> Point | None:
        chosen = self._chosen()
        first = () if chosen is None else (chosen,)
        waiting = (*first, *frontier_of(points_of(self._in_order()), self._goal.costs[:1]))
        return next((p for p in waiting if len(p.runs) < len(self._seeds)), None)

    def _chosen(self) -> Point | None:
        return choose(points_of(self._in_order()), self._goal, self._reference, *self._truth)

    @property
    def _truth(self) -> tuple[Array, Clusters | None]:
        return self._evaluator.labels, self._evaluator.clusters

    def _in_order(self) -> tuple[Outcome, ...]:
        return tuple(sorted(self._outcomes.values(), key=lambda outcome: outcome.key))

    def _next_number(self) -> int:
        return 1 + max((int(outcome.key) for outcome in self._outcomes.values()), default=-1)

    def _report(self, message: str) -> None:
        self._progress(
            Progress(
                phase=self._phase,
                message=message,
                built=self._built(),
                trials=self._limits.trials,
                elapsed_s=self._clock.elapsed_s,
                left_s=None if self._limits.time_s is None else self._clock.left_s,
                best=self._chosen(),
                metric=self._goal.metric,
            )
        )
