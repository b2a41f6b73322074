"""Agreement with a teacher on inputs alone: no target is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from smidgen.data.dataset import Dataset
from smidgen.learn.objectives.objective import Batch, LossObjective, Targets

if TYPE_CHECKING:
    from smidgen.learn.twin import GraphTwin

EVAL_BATCH = 512


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL(softmax(teacher / temperature) || softmax(student / temperature)), batch mean.

    Its gradient is that of `soft_cross_entropy`, but a student that equals its teacher scores 0.
    """
    log_p = F.log_softmax(teacher / temperature, dim=-1)
    log_q = F.log_softmax(student / temperature, dim=-1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean()


def hardest(outputs: Tensor) -> Tensor:
    """The class [n] of the largest of [n, K] outputs."""
    return outputs.argmax(dim=-1)


class Agreement(LossObjective):
    """How far the student is from a frozen teacher, which answers every batch as the student sees it.

    `match` compares outputs (student's, teacher's); `answer` makes targets [n] or [n, k] of the teacher's.
    """

    def __init__(
        self,
        teacher: GraphTwin,
        match: Callable[[Tensor, Tensor], Tensor],
        answer: Callable[[Tensor], Tensor] = hardest,
    ) -> None:
        self.teacher, self.match, self.answer = teacher.eval().requires_grad_(False), match, answer

    def start(self, twin: GraphTwin, lr: float, total_steps: int) -> None:
        super().start(twin, lr, total_steps)
        self.teacher.to(next(twin.parameters()).device)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher = self.teacher(batch[0])
        return self.match(outputs, teacher)

    def targets(self, part: Dataset) -> Targets:
        """The teacher's answers; `part.y` is not read."""
        device = next(self.teacher.parameters()).device
        with torch.no_grad():
            found = [
                self.answer(self.teacher(torch.from_numpy(batch.x).to(device))).cpu()
                for batch in part.batches(EVAL_BATCH)
            ]
        answers: Targets = torch.cat(found).numpy()
        return answers
