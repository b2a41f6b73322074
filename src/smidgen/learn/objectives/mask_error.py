"""Squared error of a mask whose targets hold more than itself."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from smidgen.learn.objectives.objective import Batch, LossObjective


class MaskError(LossObjective):
    """mean((outputs - mask)^2): targets [n, k] begin with the mask, as `data.masking.targets_of` lays out.

    What follows the mask (the signals that a metric judges by) is not learned from.
    """

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        flat = outputs.flatten(1)
        return F.mse_loss(flat, batch[1][:, : flat.shape[1]])
