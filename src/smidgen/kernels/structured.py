"""Products with matrices that are never written out: low rank, Kronecker, HMD, Walsh-Hadamard. And dense."""

from __future__ import annotations

from smidgen.errors import BadInput
from smidgen.kernels.call import Array, Kernel, floats


def dense(weight: Array) -> Kernel:
    """x -> weight x, weight [out, in]: what structure has to beat."""
    (weight,) = _matrices("dense", weight)
    out, width = weight.shape
    return Kernel("dense", ((width,), "f4"), ((out,), "f4"), out, width, weight)


def low_rank(left: Array, right: Array) -> Kernel:
    """x -> left (right x).

    Args:
        left: [out, rank].
        right: [rank, in].

    Raises:
        BadInput: shapes that don't fit.
    """
    left, right = _matrices("low_rank", left, right)
    (out, rank), (inner, width) = left.shape, right.shape
    if rank != inner:
        raise BadInput(
            "low_rank", f"factors {list(left.shape)} and {list(right.shape)}", "one rank is needed"
        )
    return Kernel("lowrank", ((width,), "f4"), ((out,), "f4"), out, width, rank, right, left.T.copy())


def kronecker(b: Array, c: Array) -> Kernel:
    """x -> (b kron c) x = b X c^T with X the rows of x; b [m1, n1], c [m2, n2], x [n1 * n2], y [m1 * m2].

    The cheaper of the two products comes first. Ref: Thakker et al. 2019, arXiv:1906.02876.

    Raises:
        BadInput: not two matrices.
    """
    b, c = _matrices("kronecker", b, c)
    (out_b, in_b), (out_c, in_c) = b.shape, c.shape
    shapes = ((in_b * in_c,), "f4"), ((out_b * out_c,), "f4")
    return Kernel("kronecker", *shapes, out_b, in_b, out_c, in_c, b, c.T.copy())


def hmd(upper: Array, left: Array, right: Array) -> Kernel:
    """Full rows above rank-1 blocks: x -> [upper x; sum over i of left[i] (right_i . x_i)].

    Args:
        upper: [r, in].
        left: [k, out - r], the blocks' columns.
        right: [in], the blocks' rows one after the other; x_i is the i-th of k equal parts of x.

    Ref: Thakker et al. 2019, arXiv:1906.04886.

    Raises:
        BadInput: shapes that don't fit.
    """
    upper, left = _matrices("hmd", upper, left)
    (right,) = floats("hmd", right)
    (full, width), (blocks, lower) = upper.shape, left.shape
    if right.shape != (width,) or width % blocks:
        raise BadInput(
            "hmd", f"{width} inputs, right {list(right.shape)}", f"{blocks} equal parts are needed"
        )
    out = full + lower
    return Kernel("hmd", ((width,), "f4"), ((out,), "f4"), out, width, full, blocks, upper, left, right)


def hadamard(size: int, factor: float = 1.0) -> Kernel:
    """x -> factor * H x, H[i, j] = (-1)^popcount(i & j): the fast Walsh-Hadamard transform.

    Args:
        size: a power of two.
        factor: size ** -0.5 makes the transform its own inverse.

    Raises:
        BadInput: another size.
    """
    if size < 1 or size & (size - 1) or size > 2**30:
        raise BadInput("hadamard", f"{size} inputs", "a power of two up to 2^30 is needed")
    return Kernel("hadamard", ((size,), "f4"), ((size,), "f4"), size, factor)


def _matrices(where: str, *arrays: Array) -> tuple[Array, ...]:
    for array in arrays:
        if array.ndim != 2 or not array.size or array.size >= 2**31:
            raise BadInput(where, f"an array {list(array.shape)}", "a matrix is needed")
    return floats(where, *arrays)
