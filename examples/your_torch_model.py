"""Bring your own PyTorch network: train it as you always do, compress it, run the result.

The network keeps its own layout (here N, C, H, W): data and predictions use it unchanged.
"""

import os

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import smidgen
from smidgen.data import Dataset, Splits

QUICK = bool(os.environ.get("SMIDGEN_EXAMPLE_QUICK"))
torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
x = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
order = np.random.default_rng(0).permutation(len(x))
train, validation, test = (Dataset(x[i], labels[i]) for i in np.split(order, [1100, 1450]))

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
)  # fmt: skip
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
for _ in range(10 if QUICK else 40):
    for batch in train.batches(64):
        loss = nn.functional.cross_entropy(model(torch.from_numpy(batch.x)), torch.from_numpy(batch.y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

done = smidgen.compress(
    model,
    Splits(train, validation, test, classes=10),
    example_input=train.x[:1],
    target="cortex-m4",
    budget="flash=20KB",
    max_drop=2.0,
    time="1s" if QUICK else "2m",
    out="runs/examples/torch",
)
net = done.open()
chosen = done.result.require_chosen()
file_bytes, flash_bytes = chosen.cost("file_bytes"), chosen.cost("flash_bytes")
print(f"{chosen.label}: a file of {file_bytes:,.0f} bytes; {flash_bytes:,.0f} bytes of flash with its code")
print(f"test accuracy of the artifact's integers: {(net.predict(test.x) == test.y).mean():.1%}")
