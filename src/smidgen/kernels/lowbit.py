"""Products with weights of 4 or 2 bits whose scales are shared by groups of neighbouring inputs.

`weight_only` takes float32 activations; its sums run in another order on every instruction set, so that a
result is within in * 2^-23 * sum |w x| of the exact one. `integer` takes int8 activations and is exact
everywhere: its scales are small integer multiples of the channel's (docs/DESIGN.md, D6).
"""

from __future__ import annotations

import numpy as np

from smidgen.errors import BadInput
from smidgen.kernels.call import Array, Kernel, floats, in_blocks

LANES = 16
GROUP_STEP = 16


def weight_only(codes: Array, scales: Array, levels: Array, group: int) -> Kernel:
    """y[o] = sum over groups g of scales[o, g] * sum over inputs k of g: levels[codes[o, k]] * x[k].

    Args:
        codes: [out, in] integers from 0 on.
        scales: [out, ceil(in / group)].
        levels: the numbers that codes stand for: 4 of them are stored in 2 bits each, 16 in 4. Any will do:
            -1, 0, 1, 0 is ternary, -8 .. 7 is int4, and a codebook of 16 entries is as fast.
        group: inputs that share a scale; a multiple of 16.

    Returns:
        float32 [in] -> float32 [out].

    Raises:
        BadInput: sizes or values that don't fit.
    """
    bits = _bits("weight_only", levels.size)
    _check("weight_only", codes, scales, group, bits)
    scales, levels = floats("weight_only", scales, levels)
    out, width = codes.shape
    table = np.resize(levels, 16)
    packed = (pack(codes, bits), in_blocks(scales), table)
    return Kernel("lowbit", ((width,), "f4"), ((out,), "f4"), out, width, group, bits, *packed)


def integer(codes: Array, multipliers: Array, zero: int, bits: int, group: int) -> Kernel:
    """y[o] = sum over groups g of multipliers[o, g] * sum over k of g: (codes[o, k] - zero) * x[k], exact.

    Args:
        codes: [out, in] integers, 0 .. 2^bits - 1.
        multipliers: [out, ceil(in / group)] integers, 0 .. 255.
        zero: the code of the weight 0.
        bits: 2 or 4.
        group: inputs that share a multiplier; a multiple of 16.

    Returns:
        int8 [in] -> int32 [out].

    Raises:
        BadInput: sizes or values that don't fit, or weights with which a sum could leave int32.
    """
    if bits not in (2, 4):
        raise BadInput("integer", f"{bits} bits", "2 or 4 are needed")
    _check("integer", codes, multipliers, group, bits)
    if not np.issubdtype(multipliers.dtype, np.integer) or multipliers.min() < 0 or multipliers.max() > 255:
        raise BadInput("integer", "multipliers out of range", "integers from 0 to 255 are needed")
    out, width = codes.shape
    weights = np.abs(codes.astype(np.int64) - zero)
    # A group's sum is also formed from codes, before the zero is taken back.
    largest = np.maximum(weights, codes) + zero
    starts = np.arange(0, width, group)
    sums = np.add.reduceat(largest, starts, axis=1)
    if int((sums * np.maximum(multipliers, 1)).sum(axis=1).max()) * 128 >= 2**31:
        found = f"a sum of {width} products could leave 32 bits"
        raise BadInput("integer", found, "smaller multipliers are needed")
    packed = (pack(codes, bits), in_blocks(multipliers.astype(np.uint8)))
    return Kernel("lowbit_int", ((width,), "i1"), ((out,), "i4"), out, width, group, bits, zero, *packed)


def pack(codes: Array, bits: int) -> Array:
    """uint32 [ceil(out / 16), ceil(in * bits / 32), 16]: see `lowbit` in kernels/c/smg_library.h."""
    out, width = codes.shape
    per_word = 32 // bits
    filled = np.zeros((out, -(-width // per_word) * per_word), np.uint32)
    filled[:, :width] = codes
    # Byte j of a word holds inputs j, 4 + j, 8 + j, ...: four bytes meet four activations in one instruction.
    parts = filled.reshape(out, -1, per_word // 4, 4)
    shifts = np.arange(4, dtype=np.uint32) * 8 + np.arange(per_word // 4, dtype=np.uint32)[:, None] * bits
    return in_blocks(np.bitwise_or.reduce(parts << shifts, axis=(2, 3)))


def _bits(where: str, levels: int) -> int:
    if levels not in (4, 16):
        raise BadInput(where, f"{levels} levels", "4 or 16 are needed")
    return 2 if levels == 4 else 4


def _check(where: str, codes: Array, scales: Array, group: int, bits: int) -> None:
    if codes.ndim != 2 or not codes.size or not np.issubdtype(codes.dtype, np.integer):
        raise BadInput(where, f"codes {codes.dtype} {list(codes.shape)}", "integers [out, in] are needed")
    if group < GROUP_STEP or group % GROUP_STEP:
        raise BadInput(where, f"groups of {group} inputs", "a multiple of 16 is needed")
    expected = (codes.shape[0], -(-codes.shape[1] // group))
    if scales.shape != expected:
        raise BadInput(where, f"scales {list(scales.shape)}", f"one a group is needed: {list(expected)}")
    if codes.min() < 0 or codes.max() >= 1 << bits:
        raise BadInput(
            where, f"codes from {codes.min()} to {codes.max()}", f"{bits} bits hold 0 to {2**bits - 1}"
        )
