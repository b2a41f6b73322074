"""Cross-entropy on class labels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from smidgen.learn.objectives.objective import Batch, LossObjective


class CrossEntropy(LossObjective):
    """-log softmax(outputs)[label], averaged; `smoothing` spreads that much probability evenly."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(outputs, batch[1], label_smoothing=self.smoothing)
