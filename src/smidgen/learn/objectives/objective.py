"""What a training minimises. An objective owns its optimizers, so adversarial ones fit too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from smidgen.data.dataset import Dataset

if TYPE_CHECKING:
    from smidgen.learn.twin import GraphTwin

Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]
Logs = Mapping[str, float]
Batch = tuple[Tensor, Tensor]  # x [n, ...] float32 channels last, y [n] int64 or [n, k] float32


class Objective(ABC):
    """`start` makes the optimizers; `update` takes one step on a batch and returns what to log."""

    @abstractmethod
    def start(self, twin: GraphTwin, lr: float, total_steps: int) -> None: ...

    @abstractmethod
    def update(self, batch: Batch, backward: Callable[[Tensor], None]) -> Logs: ...

    def targets(self, part: Dataset) -> Targets:
        """The classes int64 [n] or values float32 [n, k] that early stopping compares with, after `start`."""
        return part.y


class LossObjective(Objective):
    """One loss, one Adam, a cosine schedule. Subclasses give `loss`."""

    def start(self, twin: GraphTwin, lr: float, total_steps: int) -> None:
        self.twin = twin
        self.optimizer = torch.optim.Adam(twin.parameter_groups(lr))
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(total_steps, 1))

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Scalar loss of the network's first output."""

    def update(self, batch: Batch, backward: Callable[[Tensor], None]) -> Logs:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.twin(batch[0]), batch)
        backward(loss)
        self.optimizer.step()
        self.schedule.step()
        return {"loss": float(loss.detach())}
