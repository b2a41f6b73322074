"""Evolutionary multi-objective search: NSGA-II over the flat recipe space, through optuna.

Ref: Deb, Pratap, Agarwal, Meyarivan 2002 (NSGA-II).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smidgen.errors import BadInput, MissingExtra
from smidgen.methods.recipe import Recipe
from smidgen.search.outcome import MODEL, Outcome, Point
from smidgen.search.searcher import Searcher
from smidgen.search.space import RecipeSpace

POPULATION = 12  # a search has tens of trials, not thousands: several generations must fit
STUDY = "smidgen"


class EvolutionarySearcher(Searcher):
    """Maximises accuracy and minimises `costs`; `starts` are tried first.

    `journal` is a file that holds the history; the caller guarantees that no other process uses it.
    """

    def __init__(
        self,
        space: RecipeSpace,
        costs: Sequence[str],
        journal: Path,
        seed: int,
        starts: Sequence[Recipe] = (),
    ) -> None:
        optuna = _optuna()
        self._space, self._costs = space, tuple(costs)
        self._trials: dict[Recipe, Any] = {}
        _cut_torn_line(journal)
        storage = optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=_Unlocked())
        )
        self._study = optuna.create_study(
            study_name=STUDY,
            storage=storage,
            load_if_exists=True,
            directions=["maximize", *("minimize" for _ in self._costs)],
        )
        # A resumed search goes on with other random numbers instead of repeating its first ones.
        fresh = seed * 1_000_003 + len(self._study.trials)
        self._study.sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=fresh)
        for recipe in starts:
            self._study.enqueue_trial(space.parameters(recipe), skip_if_exists=True)

    def resume(self, outcomes: Sequence[Outcome]) -> None:
        """Finish the trials that a killed process left running; queue them again if nothing is known."""
        optuna = _optuna()
        known = {o.candidate.recipe: o for o in outcomes if o.candidate.base == MODEL}
        for trial in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            try:
                recipe = self._space.recipe(optuna.trial.FixedTrial(trial.params))
            except (ValueError, BadInput):  # cut off while its parameters were being drawn
                self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                continue
            self._finish(trial.number, known.get(recipe))
            if recipe not in known:
                self._study.enqueue_trial(trial.params)

    def ask(self) -> Recipe:
        optuna = _optuna()
        while True:
            trial = self._study.ask()
            try:
                recipe = self._space.recipe(trial)
            except (ValueError, BadInput):  # settings that exclude each other
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            self._trials[recipe] = trial
            return recipe

    def tell(self, recipe: Recipe, outcome: Outcome) -> None:
        self._finish(self._trials.pop(recipe), outcome)

    def _finish(self, trial: Any, outcome: Outcome | None) -> None:
        if isinstance(outcome, Point):
            costs = [outcome.cost(name) for name in self._costs]
            self._study.tell(trial, [outcome.runs[0].accuracy, *costs])
        else:
            self._study.tell(trial, state=_optuna().trial.TrialState.FAIL)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as missing:
        raise MissingExtra("search", "optuna", "compress") from missing
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class _Unlocked:
    """The run folder's lock keeps others out; it vanishes with a killed process, a lock file would not."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def _cut_torn_line(journal: Path) -> None:
    """Drop a last line that a killed process wrote only in part."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as handle:
            handle.truncate(whole)
