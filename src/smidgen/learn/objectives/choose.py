"""The loss that a data set asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smidgen.data.dataset import Splits
from smidgen.errors import BadInput
from smidgen.learn.objectives.cross_entropy import CrossEntropy
from smidgen.learn.objectives.mask_error import MaskError
from smidgen.learn.objectives.mean_absolute_error import MeanAbsoluteError
from smidgen.learn.objectives.mean_squared_error import MeanSquaredError
from smidgen.learn.objectives.objective import LossObjective
from smidgen.learn.objectives.users_loss import UsersLoss

CLASSES: Mapping[str, Callable[[], LossObjective]] = {"cross_entropy": CrossEntropy}
VALUES: Mapping[str, Callable[[], LossObjective]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mask_error": MaskError,
}


def loss_for(data: Splits) -> LossObjective:
    """`data.loss` by name; by default cross-entropy for classes, the mean squared error for values.

    Raises BadInput: there is no such loss for these targets.
    """
    if ":" in data.loss:
        return UsersLoss(data.loss)
    known = VALUES if data.classes is None else CLASSES
    name = data.loss or next(iter(known))
    if name not in known:
        targets = "values" if data.classes is None else "classes"
        raise BadInput(
            "loss",
            f"{name!r} is not a loss for {targets}",
            f"there are {', '.join(known)} and package.module:function",
        )
    return known[name]()
