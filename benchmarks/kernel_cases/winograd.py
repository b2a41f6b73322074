"""float32 convolutions with fewer multiplications, transforms of values included."""

from __future__ import annotations

import numpy as np

from benchmarks.kernel_cases import onnx_peer
from benchmarks.kernel_cases.case import Case
from smidgen.kernels.winograd import direct, tiles, winograd


def square() -> Case:
    return _case(64, 32, (3, 3), (1, 1), {"ORT fp32": 2.0})


def larger() -> Case:
    return _case(128, 16, (3, 3), (1, 1), {"ORT fp32": 2.0})


def line() -> Case:
    return _case(64, 32, (1, 7), (0, 3), {})


def _case(
    channels: int, size: int, kernel: tuple[int, int], padding: tuple[int, int], goals: dict[str, float]
) -> Case:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(channels, channels, *kernel)).astype(np.float32)
    x = rng.normal(size=(1, size, size, channels)).astype(np.float32)
    y = np.empty_like(x)
    outputs = tiles(*kernel)
    made = {f"F({n})": winograd(weight, (size, size), padding, n) for n in outputs}
    made["direct"] = direct(weight, (size, size), padding)
    peer = "ORT fp32"
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return Case(
        f"fp32 convolution {kernel[0]}x{kernel[1]}, {channels} channels to as many, {size}x{size}",
        {name: (lambda k=k: k(x, y)) for name, k in made.items()}
        | {peer: onnx_peer.convolution(weight, first, padding)},
        ours=f"F({max(outputs)})",
        goals=goals,
        operations=2.0 * weight.size * size * size,
        roofs=dict.fromkeys((*made, peer), "multiply_add"),
        note="ONNX Runtime gets channels first, as it wants them. Operations are the direct convolution's; "
        "Winograd leaves most of them out, hence more than 100%.",
    )


CASES = [square, larger, line]
