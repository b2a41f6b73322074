"""Callbacks of a training run. Steps declared on a graph (gradual pruning, annealing) act through these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smidgen.learn.twin import GraphTwin


@dataclass
class FitState:
    """What a hook sees. `t` runs from 0 to 1 over the whole training; `twin.weights` maps names to twins."""

    twin: GraphTwin
    epochs: int
    steps_per_epoch: int
    epoch: int = 0
    step: int = 0

    @property
    def t(self) -> float:
        return self.step / max(self.epochs * self.steps_per_epoch, 1)


class Hook:
    """Override what is needed; every method may change the twin's buffers in place."""

    def on_fit_start(self, state: FitState) -> None:
        del state

    def on_epoch_start(self, state: FitState) -> None:
        del state

    def on_step(self, state: FitState) -> None:
        """After every optimizer step."""
        del state

    def on_fit_end(self, state: FitState) -> None:
        del state
