"""The kernel made for the format of a weight: few bits, factors and sparse blocks as they are."""

from __future__ import annotations

import numpy as np

from smidgen.errors import BadInput
from smidgen.formats import Affine, Codebook, Format, LowRank, Sparse
from smidgen.kernels import lowbit, sparse, structured
from smidgen.kernels.call import Array, Kernel, quickest

FEW_BITS = 4
FEW_CENTROIDS = 16


def float_product(weight: Format) -> Kernel:
    """float32 [in] -> float32 [out]: `weight` [out, ...], decoded, times x (class `weight_only`).

    Symmetric affine weights of up to 4 bits and codebooks of up to 16 entries are multiplied from their
    codes, factors one after the other; of sparse weights the kernel is taken that is fastest here. All
    others run dense.
    """
    kernels = float_products(weight)
    return kernels[0] if len(kernels) == 1 else quickest(kernels)


def float_products(weight: Format) -> list[Kernel]:
    """The kernels that `float_product` chooses from."""
    out = weight.shape[0]
    if isinstance(weight, Affine) and _has_few_bits(weight):
        half, group = 1 << (_stored_bits(weight) - 1), _group(weight)
        scales = weight.scale[:, None] * _multiples(weight)
        return [lowbit.weight_only(_codes(weight), scales, np.arange(-half, half), group)]
    if isinstance(weight, Codebook) and len(weight.centroids) <= FEW_CENTROIDS:
        levels = np.zeros(4 if len(weight.centroids) <= 4 else FEW_CENTROIDS)
        levels[: len(weight.centroids)] = weight.centroids
        codes = weight.indices.reshape(out, -1)
        scales = np.repeat(weight.scale[:, None], out, axis=0)
        return [lowbit.weight_only(codes, scales, levels, _whole(codes.shape[1]))]
    if isinstance(weight, LowRank):
        return [structured.low_rank(weight.left.decode().reshape(out, -1), _rows(weight.right))]
    rows = _rows(weight)
    if isinstance(weight, Sparse):
        kinds = (structured.dense, sparse.block_columns, sparse.block_rows, sparse.csr)
        return [kind(rows) for kind in kinds]
    return [structured.dense(rows)]


def integer_product(weight: Affine) -> Kernel:
    """int8 [in] -> int32 [out]: the integers of a symmetric weight of up to 4 bits times x, exact.

    Raises:
        BadInput: more bits, zero points, or groups of another size than 16, 32, ...
    """
    if not _has_few_bits(weight):
        expected = "symmetric ones of 2 to 4 bits with groups of a multiple of 16 are needed"
        raise BadInput(
            "integer_product", f"{weight.bits}-bit weights, groups of {weight.group_size}", expected
        )
    bits = _stored_bits(weight)
    return lowbit.integer(_codes(weight), _multiples(weight), 1 << (bits - 1), bits, _group(weight))


def _has_few_bits(weight: Affine) -> bool:
    return weight.bits <= FEW_BITS and weight.zero is None and weight.group_size % lowbit.GROUP_STEP == 0


def _stored_bits(weight: Affine) -> int:
    return 2 if weight.bits == 2 else FEW_BITS


def _codes(weight: Affine) -> Array:
    half = 1 << (_stored_bits(weight) - 1)
    return weight.symbols.reshape(weight.shape[0], -1).astype(np.int16) + half


def _multiples(weight: Affine) -> Array:
    """[out, groups]"""
    return np.ones((weight.shape[0], 1), np.uint8) if weight.multiples is None else weight.multiples


def _group(weight: Affine) -> int:
    return weight.group_size or _whole(weight.symbols.size // weight.shape[0])


def _whole(width: int) -> int:
    """One group for all inputs."""
    return -(-width // lowbit.GROUP_STEP) * lowbit.GROUP_STEP


def _rows(weight: Format) -> Array:
    return weight.decode().reshape(weight.shape[0], -1)
