"""Distillation without labels: unlabeled inputs and a teacher are all it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.methods.space import Range, Space
from smidgen.methods.step import Context, Stage, Step

if TYPE_CHECKING:
    from smidgen.learn.objectives.objective import Objective


@dataclass(frozen=True)
class Unlabeled(Step):
    """The next `tune.fit` minimises T^2 * KL(p_T || p_S) and nothing else; no label of any split is read.

    p_T, p_S: softmax of teacher's and student's logits over T; the teacher is the original network, evaluated
    on the very batch that the student gets. Early stopping goes by agreement with the teacher's classes on
    the validation inputs. Labels in the data are ignored, so any may stand where none are known. For
    values as targets the loss is the squared difference of teacher's and student's, and T means nothing.
    Ref: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); labels from a teacher for each input as augmented:
    Bagherinezhad, Horton, Rastegari, Farhadi 2018 (arXiv 1805.02641).

    Attributes:
        temperature: T, 1..20.
    """

    stage: ClassVar[Stage] = Stage.TUNE

    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.temperature <= 20:
            raise ValueError(f"temperature must be 1 to 20, not {self.temperature}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        ctx.need_data(self.name)
        return replace(graph, pending=(*graph.pending, self))

    def objective(self, base: Objective, ctx: Context) -> Objective:
        from smidgen.learn.objectives.agreement import Agreement, divergence
        from smidgen.learn.objectives.choose import loss_for
        from smidgen.learn.objectives.distillation import squared_difference
        from smidgen.learn.twin import GraphTwin

        data = ctx.need_data(self.name)
        if type(base) is not type(loss_for(data)):
            found = f"another objective ({type(base).__name__}) is declared before it"
            raise BadInput(self.name, found, "it replaces the training's objective", "Drop one of the two")
        teacher = GraphTwin(ctx.original)
        if data.classes is None:
            return Agreement(teacher, squared_difference, lambda outputs: outputs.flatten(1))
        return Agreement(teacher, partial(divergence, temperature=self.temperature))

    def space(self, graph: Graph) -> Space:
        return {"temperature": Range(1.0, 10.0, log=True)}
