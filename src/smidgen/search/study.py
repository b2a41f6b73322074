"""What all samplers of optuna share: a study in a journal file, from which a killed search goes on.

A trial's random numbers depend on the seed and on how many trials were begun before it, on nothing else. So
a search that was stopped between two trials goes on exactly as if it had not been.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from smidgen.errors import BadInput, MissingExtra
from smidgen.methods.recipe import Recipe
from smidgen.search.outcome import MODEL, Outcome, Point
from smidgen.search.searcher import Searcher
from smidgen.search.space import RecipeSpace

STUDY = "smidgen"
_SEED_STRIDE = 1_000_003  # more than any search has trials


class StudySearcher(Searcher):
    """Maximises accuracy and minimises `costs`; `starts` are tried first.

    `journal` is a file that holds the history; the caller guarantees that no other process uses it.
    A subclass says which sampler proposes: one file `samplers/<name>.py`, found by its path.
    """

    name: ClassVar[str] = ""  # filled from the module's path

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__module__.rpartition(".")[2]

    def __init__(
        self,
        space: RecipeSpace,
        costs: Sequence[str],
        journal: Path,
        seed: int,
        starts: Sequence[Recipe] = (),
    ) -> None:
        optuna = _optuna()
        self._space, self._costs, self._seed = space, tuple(costs), seed
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
        for recipe in starts:
            self._study.enqueue_trial(space.parameters(recipe), skip_if_exists=True)

    @abstractmethod
    def _sampler(self, samplers: Any, seed: int) -> Any:
        """A sampler out of `optuna.samplers` whose random numbers follow from `seed`."""

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
            self._study.sampler = self._sampler(optuna.samplers, self._seed * _SEED_STRIDE + self._begun())
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

    def _begun(self) -> int:
        """How many trials left the queue so far."""
        waiting = _optuna().trial.TrialState.WAITING
        return sum(trial.state != waiting for trial in self._study.get_trials(deepcopy=False))

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
