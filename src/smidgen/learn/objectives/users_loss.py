"""A loss that the user wrote."""

from __future__ import annotations

import torch
from torch import Tensor

from smidgen.data.user_function import call, find_function
from smidgen.errors import BadInput
from smidgen.learn.objectives.objective import Batch, LossObjective


class UsersLoss(LossObjective):
    """`package.module:function` of (outputs [n, ...], targets [n] or [n, k]), tensors, that returns a scalar.

    Raises BadInput: there is no such function, it raises, or it returns something else.
    """

    def __init__(self, source: str) -> None:
        self.source, self.function = source, find_function(source)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        found = call(self.source, self.function, outputs, batch[1])
        if not isinstance(found, torch.Tensor) or found.numel() != 1 or not found.requires_grad:
            shape = f" of shape {list(found.shape)}" if isinstance(found, torch.Tensor) else ""
            raise BadInput(
                self.source,
                f"the loss returned a {type(found).__name__}{shape}",
                "one number with a gradient is needed",
            )
        return found.reshape(())
