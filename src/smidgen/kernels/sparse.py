"""Products with a sparse float32 matrix: blocks of 16 outputs (16x1), of 16 inputs (1x16), entries (CSR).

Unstructured sparsity is here for honesty: at the same number of entries it is several times slower.
"""

from __future__ import annotations

import numpy as np

from smidgen.errors import BadInput
from smidgen.kernels.call import Array, Kernel, floats, in_blocks

LANES = 16
MOST_COLUMNS = 2**16


def block_columns(weight: Array) -> Kernel:
    """x -> weight x, skipping inputs that all of 16 neighbouring outputs ignore (16x1 blocks).

    Args:
        weight: [out, in] with zeros; at most 65,536 inputs.

    Raises:
        BadInput: not such a matrix.
    """
    weight = _matrix("block_columns", weight)
    if weight.shape[1] > MOST_COLUMNS:
        raise BadInput("block_columns", f"{weight.shape[1]:,} inputs", "at most 65,536 are possible")
    blocks = in_blocks(weight)
    rows, columns = np.nonzero(blocks.any(axis=2))
    constants = (_first(rows, len(blocks)), columns.astype(np.uint16), blocks[rows, columns])
    return _kernel("block_columns", weight, constants)


def block_rows(weight: Array) -> Kernel:
    """x -> weight x, skipping 16 neighbouring inputs that an output ignores (1x16 blocks).

    Args:
        weight: [out, in] with zeros; at most 1,048,576 inputs.

    Raises:
        BadInput: not such a matrix.
    """
    weight = _matrix("block_rows", weight)
    out, width = weight.shape
    if width > MOST_COLUMNS * LANES:
        raise BadInput("block_rows", f"{width:,} inputs", "at most 1,048,576 are possible")
    blocks = np.zeros((out, -(-width // LANES), LANES), np.float32)
    blocks.reshape(out, -1)[:, :width] = weight
    rows, columns = np.nonzero(blocks.any(axis=2))
    constants = (_first(rows, out), columns.astype(np.uint16), blocks[rows, columns])
    return _kernel("block_rows", weight, constants)


def csr(weight: Array) -> Kernel:
    """x -> weight x, skipping single zeros (compressed sparse rows, 8 bytes an entry).

    Args:
        weight: [out, in] with zeros.

    Raises:
        BadInput: not such a matrix.
    """
    weight = _matrix("csr", weight)
    rows, columns = np.nonzero(weight)
    return _kernel(
        "csr", weight, (_first(rows, len(weight)), columns.astype(np.int32), weight[rows, columns])
    )


def _matrix(where: str, weight: Array) -> Array:
    if weight.ndim != 2 or not weight.size or weight.size >= 2**31:
        raise BadInput(
            where, f"a weight {list(weight.shape)}", "a matrix [out, in] of at most 2^31 is needed"
        )
    return floats(where, weight)[0]


def _first(rows: Array, count: int) -> Array:
    """Where the entries of each of `count` rows begin, and after them the end."""
    return np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)


def _kernel(name: str, weight: Array, constants: tuple[Array, ...]) -> Kernel:
    out, width = weight.shape
    return Kernel(name, ((width,), "f4"), ((out,), "f4"), out, width, *constants)
