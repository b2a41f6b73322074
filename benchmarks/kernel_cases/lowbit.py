"""Weights of 4 and 2 bits, read from memory: batch 1 is bound by bytes."""

from __future__ import annotations

import numpy as np

from benchmarks.kernel_cases import onnx_peer
from benchmarks.kernel_cases.case import Case
from smidgen.kernels import lowbit, structured

SIZE, GROUP = 4096, 128
CALL = "int8 activations, 16x128 only"


def four_bits() -> Case:
    return _case(4, np.arange(-8, 8), {"ORT fp32": 7, "ORT MatMulNBits": 1.5})


def two_bits() -> Case:
    return _case(2, np.array([-1, 0, 1, 0]), {"ORT fp32": 12.5, "ORT MatMulNBits": 1.8})


def _case(bits: int, levels: np.ndarray, goals: dict[str, float]) -> Case:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    x = rng.normal(size=SIZE).astype(np.float32)
    x8 = rng.integers(-128, 128, SIZE).astype(np.int8)
    used = 3 if bits == 2 else 16
    codes = rng.integers(0, used, (SIZE, SIZE)).astype(np.uint8)
    scales = rng.uniform(0.01, 0.02, (SIZE, SIZE // GROUP))
    multipliers = rng.integers(1, 16, scales.shape)
    floats = lowbit.weight_only(codes, scales, levels, GROUP)
    integers = lowbit.integer(codes, multipliers, -int(levels[0]), bits, GROUP)
    y, y8 = np.empty(SIZE, np.float32), np.empty(SIZE, np.int32)
    least = lowbit.integer(codes[:16, :GROUP], multipliers[:16, :1], -int(levels[0]), bits, GROUP)
    x0, y0 = x8[:GROUP], y8[:16]
    return Case(
        f"{'int4' if bits == 4 else 'ternary, 2-bit'} product 4096x4096, batch 1, cold",
        {
            "float activations": lambda: floats(x, y),
            "int8 activations": lambda: integers(x8, y8),
            CALL: lambda: least(x0, y0),
            "ORT fp32": onnx_peer.matmul(weight, x[None]),
            "ORT MatMulNBits": onnx_peer.matmul_few_bits(weight.shape, x[None], bits, GROUP),
            "own dense fp32": _dense(weight, x),
        },
        ours="int8 activations",
        goals=goals,
        cold=True,
        read_bytes=SIZE * SIZE * bits // 8 + multipliers.size,
        roof_goals={"int8 activations": 0.8},
        note="`int8 activations` is exact (class integer), `float activations` is weight-only. "
        f"`{CALL}` shows what a call takes in cold caches, whatever its size.",
    )


def _dense(weight: np.ndarray, x: np.ndarray):
    kernel, y = structured.dense(weight), np.empty(len(weight), np.float32)
    return lambda: kernel(x, y)


CASES = [four_bits, two_bits]
