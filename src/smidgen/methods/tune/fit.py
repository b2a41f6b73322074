"""Training: the only step that changes weights by gradients. Carries out everything declared before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smidgen.graph import Graph
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Stage, Step


@dataclass(frozen=True)
class Fit(Step):
    """Train jointly what the recipe has declared so far: masks, grids, distillation (DESIGN.md, D1).

    Attributes:
        epochs: passes over the training split.
        lr: peak of the cosine schedule.
        batch_size: samples an update.
        patience: epochs without a better validation accuracy before stopping (0: never).
    """

    stage: ClassVar[Stage] = Stage.TUNE

    epochs: int = 10
    lr: float = 1e-3
    batch_size: int = 64
    patience: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 0 or not self.lr > 0:
            raise ValueError("epochs and batch_size must be at least 1, lr positive, patience 0 or more")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        from smidgen.learn.fit import FitSettings, fit
        from smidgen.learn.objectives.choose import loss_for
        from smidgen.learn.objectives.objective import Objective

        data = ctx.need_data(self.name)
        objective: Objective = loss_for(data)
        for step in graph.pending:
            objective = step.objective(objective, ctx)
        hooks = [hook for step in graph.pending for hook in step.hooks(ctx)]
        settings = FitSettings(self.epochs, self.lr, self.batch_size, self.patience)
        return fit(graph, data, settings, objective, hooks, ctx.seed, ctx.report)

    def space(self, graph: Graph) -> Space:
        return {"epochs": Choice((5, 10, 20)), "lr": Range(3e-4, 5e-3, log=True)}
