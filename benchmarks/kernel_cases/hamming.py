"""Exact nearest binary codes."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np

from benchmarks.kernel_cases.case import Case
from smidgen.kernels.hamming import HammingSearch

COUNT, NEAREST = 1_000_000, 10


def batch() -> Case:
    return _case(64, 3.5)


def single() -> Case:
    return _case(1, None)


def _case(queries: int, goal: float | None) -> Case:
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 256, (2000, 32), dtype=np.uint8)
    codes, x = _near(centers, COUNT, rng), _near(centers, queries, rng)
    ours = HammingSearch(codes, NEAREST)
    peer = _faiss(codes, x)
    np.testing.assert_array_equal(ours(x)[0], peer()[0])
    return Case(
        f"the 10 nearest of 1,000,000 codes of 256 bits, {queries} queries a call",
        {"smidgen": lambda: ours(x), "faiss flat": peer},
        ours="smidgen",
        goals={"faiss flat": goal} if goal else {},
        operations=2.0 * codes.size * 8 * queries,
        roofs={"smidgen": "popcount"} if queries > 1 else {},
        note="Codes lie around 2,000 centers, an eighth of their bits flipped; both find the same distances.",
    )


def _near(centers: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Codes around the centers, an eighth of their bits flipped."""
    flips = np.bitwise_and.reduce(rng.integers(0, 256, (3, count, centers.shape[1]), dtype=np.uint8))
    return centers[rng.integers(0, len(centers), count)] ^ flips


def _faiss(codes: np.ndarray, x: np.ndarray) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    return lambda: index.search(x, NEAREST)


CASES = [batch, single]
