"""One layer alone, fitted to what another weight makes of the same inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from smidgen.formats import Format
from smidgen.formats.twins import Twin

Floats = npt.NDArray[np.float32]
SCALE_SHARE = 0.3  # a scale moves all weights of its layer at once


@dataclass(frozen=True)
class LayerFit:
    """Adam with a cosine schedule from `lr` times the root mean square of what a parameter begins with.

    Parameters that begin with 0 stand for relative changes of scales: they take `SCALE_SHARE` of `lr`.
    """

    steps: int = 300
    lr: float = 0.001
    batch_size: int = 256


def fit_layer(
    twin: Twin,
    x: Floats,
    target: Floats,
    settings: LayerFit,
    rng: np.random.Generator,
    on_step: Callable[[float], None] = lambda t: None,
) -> Format:
    """The twin's weight W [O, ...] after minimising ||x W - target||^2 by Adam, frozen.

    Args:
        x: [groups, n, inputs of a filter], in the order of a filter's weights.
        target: [groups, n, O / groups].
        on_step: hears t, from 0 to 1, before each update (to move masks); annealing hears it as well.
    """
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(target)
    size = max(float(wanted.square().mean()), 1e-12)
    optimizer = torch.optim.Adam(_groups(twin, settings.lr), betas=(0.9, 0.99))
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(settings.steps):
        t = step / settings.steps
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * 0.5 * (1 + math.cos(math.pi * t))
        twin.progress(t)
        on_step(t)
        rows = torch.from_numpy(rng.integers(0, x.shape[1], settings.batch_size))
        error = (_product(inputs[:, rows], twin.weight()) - wanted[:, rows]).square().mean() / size
        optimizer.zero_grad()
        torch.autograd.backward(error)
        optimizer.step()
    twin.progress(1.0)
    on_step(1.0)
    return twin.freeze()


def _product(x: Tensor, weight: Tensor) -> Tensor:
    rows = weight.reshape(len(x), weight.shape[0] // len(x), -1)
    return torch.bmm(x, rows.transpose(1, 2))


def _groups(twin: Twin, lr: float) -> list[dict[str, object]]:
    sizes = [(p, float(p.detach().square().mean().sqrt())) for p in twin.parameters()]
    return [{"params": [p], "lr": lr * (size or SCALE_SHARE)} for p, size in sizes]
