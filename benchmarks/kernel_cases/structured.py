"""1024 x 1024 matrices that are never written out, one Python call each."""

from __future__ import annotations

import numpy as np

from benchmarks.kernel_cases import onnx_peer
from benchmarks.kernel_cases.case import Case
from smidgen.kernels import structured
from smidgen.kernels.call import Kernel

SIZE = 1024
RNG = np.random.default_rng(0)


def kronecker() -> Case:
    factors = (RNG.normal(size=(32, 32)) for _ in range(2))
    return _case("Kronecker 32x32 and 32x32", structured.kronecker(*factors), 30)


def hadamard() -> Case:
    return _case("Walsh-Hadamard 1024", structured.hadamard(SIZE, SIZE**-0.5), 30)


def low_rank() -> Case:
    factors = RNG.normal(size=(SIZE, 32)), RNG.normal(size=(32, SIZE))
    return _case("low rank 32 of 1024x1024 (a sixteenth of the weights)", structured.low_rank(*factors), None)


def hmd() -> Case:
    parts = RNG.normal(size=(256, SIZE)), RNG.normal(size=(2, SIZE - 256)), RNG.normal(size=SIZE)
    return _case(
        "HMD 1024x1024, 256 full rows and 2 blocks (3.9 times fewer weights)", structured.hmd(*parts), None
    )


def _case(name: str, kernel: Kernel, goal: float | None) -> Case:
    weight = RNG.normal(size=(SIZE, SIZE)).astype(np.float32)
    x, y = RNG.normal(size=SIZE).astype(np.float32), np.empty(SIZE, np.float32)
    dense = structured.dense(weight)
    return Case(
        f"{name}, batch 1",
        {
            "structured": lambda: kernel(x, y),
            "ORT fp32 dense": onnx_peer.matmul(weight, x[None]),
            "own dense fp32": lambda: dense(x, y),
        },
        ours="structured",
        goals={"ORT fp32 dense": goal, "own dense fp32": goal} if goal else {},
    )


CASES = [kronecker, hadamard, low_rank, hmd]
