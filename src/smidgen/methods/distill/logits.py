"""Distillation from the uncompressed network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from smidgen.graph import Graph
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Stage, Step

if TYPE_CHECKING:
    from smidgen.learn.objectives.objective import Objective


@dataclass(frozen=True)
class Logits(Step):
    """The next `tune.fit` also matches the original network's softened outputs.

    loss = (1 - weight) * H(labels, q_1) + weight * T^2 * H(p_T, q_T), with p, q the softmax of teacher's and
    student's logits over T. Where targets are values, both losses are mean squared errors, the second against
    the teacher's outputs, and T means nothing. Ref: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531).

    Attributes:
        temperature: T, 1..20.
        weight: share of the soft loss, 0..1.
    """

    stage: ClassVar[Stage] = Stage.TUNE

    temperature: float = 4.0
    weight: float = 0.7

    def __post_init__(self) -> None:
        if not 1 <= self.temperature <= 20 or not 0 <= self.weight <= 1:
            raise ValueError("temperature must be 1 to 20 and weight 0 to 1")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        ctx.need_data(self.name)
        return replace(graph, pending=(*graph.pending, self))

    def objective(self, base: Objective, ctx: Context) -> Objective:
        from smidgen.learn.objectives.distillation import (
            Distillation,
            soft_cross_entropy,
            squared_difference,
        )
        from smidgen.learn.objectives.objective import LossObjective
        from smidgen.learn.twin import GraphTwin

        if not isinstance(base, LossObjective):
            raise TypeError(f"distillation needs a loss to extend, not {type(base).__name__}")
        teacher = GraphTwin(ctx.original).eval().requires_grad_(False)
        if ctx.need_data(self.name).classes is None:
            return Distillation(base, teacher, squared_difference, self.weight)
        soft = partial(soft_cross_entropy, temperature=self.temperature)
        return Distillation(base, teacher, soft, self.weight)

    def space(self, graph: Graph) -> Space:
        return {"temperature": Range(1.0, 10.0, log=True), "weight": Choice((0.3, 0.5, 0.7, 0.9))}
