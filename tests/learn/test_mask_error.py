"""The loss of masks: the targets' first columns, and nothing behind them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smidgen.data.dataset import Dataset, Splits
from smidgen.learn.objectives.choose import loss_for
from smidgen.learn.objectives.mask_error import MaskError


def test_only_the_mask_counts() -> None:
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 11))
    found = MaskError().loss(torch.from_numpy(outputs), (torch.empty(0), torch.from_numpy(targets)))
    assert float(found) == pytest.approx(((outputs.reshape(4, 6) - targets[:, :6]) ** 2).mean())


def test_a_data_set_asks_for_it_by_name() -> None:
    part = Dataset(np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32))
    assert isinstance(loss_for(Splits(part, part, part, None, loss="mask_error")), MaskError)
