"""A small transformer for spoken digits: torch.nn.TransformerEncoder over MFCC frames, trained here."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.pretrained_models import Arrays, Pretrained
from smidgen.data.dataset import Splits
from smidgen.load import load

EPOCHS, BATCH, WIDTH, HEADS, LAYERS = 12, 64, 64, 4, 2


def trained(data: Splits) -> Pretrained:
    """Inputs [n, 49, 10], ten classes."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(0)
    module = _classifier()
    optimizer = torch.optim.AdamW(module.parameters(), 2e-3)
    x, y = (torch.from_numpy(a) for a in (frames(data.train.x), data.train.y))
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    module.eval()

    def original(inputs: Arrays) -> Arrays:
        with torch.no_grad():
            return (module(torch.from_numpy(inputs[0])).numpy(),)

    size = 4 * sum(p.numel() for p in module.parameters())
    graph = load(module, frames(data.train.x[:2]))
    return Pretrained("Transformer (spoken digits)", "torch", graph, original, size)


def frames(x: Any) -> np.ndarray:
    return np.ascontiguousarray(x[..., 0])


def _classifier() -> Any:
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Linear(10, WIDTH)
            self.place = nn.Parameter(0.02 * torch.randn(49, WIDTH))
            layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, 0.1, "gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.leave = nn.Linear(WIDTH, 10)

        def forward(self, x: Any) -> Any:
            return self.leave(self.encoder(self.enter(x) + self.place).mean(1))

    return Classifier()
