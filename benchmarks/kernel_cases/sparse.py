"""90% sparse float32 weights, batch 1."""

from __future__ import annotations

import numpy as np

from benchmarks.kernel_cases import onnx_peer
from benchmarks.kernel_cases.case import Case
from smidgen.kernels import lowbit, sparse, structured

DENSITY = 0.1
CACHED = "Unstructured sparsity (CSR) gains less than dense int4."
FROM_FAR = (
    "Beyond the second-level cache bytes are the bound: values and indices are a 9.7th of the dense ones, so "
    "that no kernel gains more, but for what the baseline wastes. Indices of 8 bits would save 1.5%."
)


def small() -> Case:
    return _case(1024, cold=False)


def large() -> Case:
    return _case(4096, cold=False)


def from_memory() -> Case:
    return _case(4096, cold=True)


def _case(size: int, *, cold: bool) -> Case:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(size, size)).astype(np.float32)
    x, y = rng.normal(size=size).astype(np.float32), np.empty(size, np.float32)
    chosen = rng.random((size, size // 16)) < DENSITY
    columns = sparse.block_columns(weight * np.repeat(chosen.T, 16, axis=0))
    rows = sparse.block_rows(weight * np.repeat(chosen, 16, axis=1))
    single = sparse.csr(weight * (rng.random((size, size)) < DENSITY))
    dense = structured.dense(weight)
    codes, multipliers = rng.integers(0, 16, (size, size)), rng.integers(1, 16, (size, size // 128))
    few_bits = lowbit.integer(codes, multipliers, 8, 4, 128)
    x8, y32 = rng.integers(-128, 128, size).astype(np.int8), np.empty(size, np.int32)
    return Case(
        f"90% sparse fp32 product {size}x{size}, batch 1, {'cold' if cold else 'warm'}",
        {
            "16x1 blocks": lambda: columns(x, y),
            "1x16 blocks": lambda: rows(x, y),
            "CSR": lambda: single(x, y),
            "own dense int4": lambda: few_bits(x8, y32),
            "ORT fp32": onnx_peer.matmul(weight, x[None]),
            "own dense fp32": lambda: dense(x, y),
        },
        ours="16x1 blocks",
        goals={"ORT fp32": 14, "own dense fp32": 9},
        cold=cold,
        read_bytes=int(size * size * DENSITY * (4 + 2 / 16)) if cold else None,
        note=CACHED if size < 4096 else FROM_FAR,
    )


CASES = [small, large, from_memory]
