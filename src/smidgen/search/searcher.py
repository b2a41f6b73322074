"""The contract of a search strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from smidgen.methods.recipe import Recipe
from smidgen.search.outcome import Outcome


class Searcher(ABC):
    """Proposes recipes, learns from their outcomes. Survives being killed between any two calls."""

    @abstractmethod
    def resume(self, outcomes: Sequence[Outcome]) -> None:
        """Take notice of what earlier processes finished; call once, before the first `ask`."""

    @abstractmethod
    def ask(self) -> Recipe:
        """The next recipe to try; it may be one that was tried before."""

    @abstractmethod
    def tell(self, recipe: Recipe, outcome: Outcome) -> None:
        """Report what became of a recipe that `ask` returned."""
