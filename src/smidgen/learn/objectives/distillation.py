"""Knowledge distillation with temperature (Hinton, Vinyals, Dean 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from smidgen.learn.objectives.objective import Batch, LossObjective


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """temperature^2 * H(softmax(teacher / temperature), softmax(student / temperature)), batch mean.

    The gradient of the bare term falls off as 1 / temperature^2; the factor makes its size independent of the
    temperature, so that weights between losses keep their meaning.
    """
    p = F.softmax(teacher / temperature, dim=-1)
    log_q = F.log_softmax(student / temperature, dim=-1)
    return temperature**2 * -(p * log_q).sum(dim=-1).mean()


def squared_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """mean((student - teacher)^2): what is matched where outputs are values, not logits."""
    return F.mse_loss(student, teacher)


class Distillation(LossObjective):
    """(1 - weight) * base + weight * match(student's outputs, a frozen teacher's)."""

    def __init__(
        self,
        base: LossObjective,
        teacher: Callable[[Tensor], Tensor],
        match: Callable[[Tensor, Tensor], Tensor],
        weight: float,
    ) -> None:
        self.base, self.teacher, self.match, self.weight = base, teacher, match, weight

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher = self.teacher(batch[0])
        return (1 - self.weight) * self.base.loss(outputs, batch) + self.weight * self.match(outputs, teacher)
