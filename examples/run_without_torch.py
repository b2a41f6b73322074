"""Run an artifact where torch is not installed: numpy and smidgen's own native module are enough.

The file is made by another process, as it would be on another machine.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

folder = Path("runs/examples/without_torch")
if not (folder / "model.smg").exists():
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text("- quantize.affine: {bits: 6}\n")
    make = ["smidgen", "apply", str(folder / "recipe.yaml"), "digits", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", *make], check=True)

for package in ("torch", "onnx", "sklearn"):
    sys.modules[package] = None  # type: ignore[assignment]  # from here on, importing it fails

import smidgen  # noqa: E402

start = time.perf_counter()
net = smidgen.open(folder / "model.smg")
x = np.random.default_rng(0).random((1000, 8, 8, 1), dtype=np.float32)
labels = net.predict(x)
elapsed_ms = 1e3 * (time.perf_counter() - start)
print(f"opened and classified {len(labels):,} images in {elapsed_ms:.0f} ms, {net.backend} back end")
print(f"class scores of the first image: {np.round(net.outputs(x[:1])[0], 2)}")
