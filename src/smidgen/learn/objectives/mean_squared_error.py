"""Mean squared error on values."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from smidgen.learn.objectives.objective import Batch, LossObjective


class MeanSquaredError(LossObjective):
    """mean((outputs - targets)^2) over samples and outputs; outputs [n, ...] are flattened to [n, k]."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(outputs.flatten(1), batch[1])
