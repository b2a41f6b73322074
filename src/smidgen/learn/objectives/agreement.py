"""Agreement with a teacher on inputs alone: no label is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from smidgen.data.dataset import Dataset
from smidgen.learn.objectives.objective import Batch, LossObjective

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


class Agreement(LossObjective):
    """The divergence from a frozen teacher, which labels every batch as the student sees it: augmented."""

    def __init__(self, teacher: GraphTwin, temperature: float) -> None:
        self.teacher, self.temperature = teacher.eval().requires_grad_(False), temperature

    def start(self, twin: GraphTwin, lr: float, total_steps: int) -> None:
        super().start(twin, lr, total_steps)
        self.teacher.to(next(twin.parameters()).device)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher = self.teacher(batch[0])
        return divergence(outputs, teacher, self.temperature)

    def targets(self, part: Dataset) -> npt.NDArray[np.int64]:
        """The teacher's classes; `part.y` is not read."""
        device = next(self.teacher.parameters()).device
        with torch.no_grad():
            found = [
                self.teacher(torch.from_numpy(batch.x).to(device)).argmax(dim=-1).cpu()
                for batch in part.batches(EVAL_BATCH)
            ]
        classes: npt.NDArray[np.int64] = torch.cat(found).numpy()
        return classes
