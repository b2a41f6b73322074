"""Exact search for the nearest binary codes."""

from __future__ import annotations

import numpy as np

from smidgen.errors import BadInput
from smidgen.kernels.call import Array, Kernel, in_blocks


class HammingSearch:
    """The nearest of some codes by the number of differing bits.

    Attributes:
        nearest: how many are found.
        count: how many codes there are.
    """

    def __init__(self, codes: Array, nearest: int) -> None:
        """
        Args:
            codes: uint8 [count, bytes], 8 bits a byte; rows are filled up to 8 bytes with zeros.
            nearest: from 1 to count. Up to some dozens are quick to keep in order.

        Raises:
            BadInput: not such codes, or more neighbours than codes.
        """
        if codes.dtype != np.uint8 or codes.ndim != 2 or not codes.size or len(codes) >= 2**31:
            raise BadInput(
                "hamming", f"codes {codes.dtype} {list(codes.shape)}", "uint8 [count, bytes] is needed"
            )
        if not 1 <= nearest <= len(codes):
            raise BadInput("hamming", f"{nearest} nearest of {len(codes):,} codes", "1 to all of them exist")
        self.nearest, self.count, self._bytes = nearest, len(codes), codes.shape[1]
        words = _words(codes)
        blocks = in_blocks(words, 8)
        shapes = ((words.shape[1],), "u8"), ((2, nearest), "i4")
        self._kernel = Kernel("hamming", *shapes, self.count, words.shape[1], nearest, blocks)

    def __call__(self, queries: Array) -> tuple[Array, Array]:
        """Distances and indices, int32 [n, nearest] each, for uint8 [n, bytes]: by distance, then by index.

        Raises:
            BadInput: other queries.
        """
        if queries.dtype != np.uint8 or queries.ndim != 2 or queries.shape[1] != self._bytes:
            raise BadInput(
                "hamming",
                f"queries {queries.dtype} {list(queries.shape)}",
                f"uint8 [n, {self._bytes}] is needed",
            )
        found = self._kernel(_words(queries))
        return found[:, 0], found[:, 1]


def _words(codes: Array) -> Array:
    filled = np.zeros((len(codes), -(-codes.shape[1] // 8) * 8), np.uint8)
    filled[:, : codes.shape[1]] = codes
    return filled.view(np.uint64)
