"""What a user brings, small: a torch network for 8x8 digits, channels first, its ONNX file, and data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ROWS = 600


@dataclass(frozen=True)
class Tiny:
    """`x` float32 [n, 1, 8, 8], `y` int64 [n]; `onnx` and `npz` are files."""

    module: nn.Module
    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    onnx: Path
    npz: Path


def make(folder: Path) -> Tiny:
    """Train for a second and save in `folder`."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = (images[:ROWS] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    y = labels[:ROWS].astype(np.int64)
    module = _trained(x, y)
    onnx, npz = folder / "tiny.onnx", folder / "tiny.npz"
    torch.onnx.export(
        module,
        (torch.from_numpy(x[:1]),),
        str(onnx),
        dynamo=False,
        input_names=["image"],
        output_names=["digit"],
        dynamic_axes={"image": {0: "n"}},
    )
    np.savez(npz, x=x, y=y)
    return Tiny(module, x, y, onnx, npz)


def _trained(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 10)
    )
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(10):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(torch.from_numpy(x)[rows]), torch.from_numpy(y)[rows])
            loss.backward()
            optimizer.step()
    return module.eval()
