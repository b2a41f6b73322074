"""The matrices of short convolutions with few multiplications, over exact rationals.

F(m, r): m outputs of a filter of r taps cost m + r - 1 products instead of m r,

    y = A^T [(G g) * (B^T d)],    y_i = sum over k of d_{i+k} g_k,

because both sides are values of polynomials at m + r - 2 points and at infinity.

Ref: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin & Gray 2015, arXiv:1509.09308;
Maji et al. 2019 (EMC^2), "Efficient Winograd or Cook-Toom Convolution Kernel Implementation".
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

Matrix = tuple[tuple[Fraction, ...], ...]

# Small numbers first: the sizes of the entries decide how much rounding hurts.
POINTS = tuple(Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "4", "-4", "1/4", "-1/4"))


@dataclass(frozen=True)
class CookToom:
    """F(outputs, taps), n = outputs + taps - 1: input [n][n], filter [n][taps] and output [outputs][n]."""

    outputs: int
    taps: int
    input: Matrix
    filter: Matrix
    output: Matrix


def cook_toom(outputs: int, taps: int) -> CookToom:
    """F(outputs, taps). Both are at least 1 and together at most 13.

    Raises:
        ValueError: sizes out of that range.
    """
    n = outputs + taps - 1
    if outputs < 1 or taps < 1 or n > len(POINTS) + 1:
        raise ValueError(f"F({outputs}, {taps}): sizes from 1 on with a sum of at most {len(POINTS) + 2}")
    points = POINTS[: n - 1]
    others = [tuple(p for p in points if p != point) for point in points]
    rows = [_from_roots(roots, n) for roots in others]
    norms = [
        prod((point - other for other in roots), start=Fraction(1))
        for point, roots in zip(points, others, strict=True)
    ]
    filters = [tuple(p**k / norm for k in range(taps)) for p, norm in zip(points, norms, strict=True)]
    return CookToom(
        outputs,
        taps,
        input=(*rows, _from_roots(points, n)),
        filter=(*filters, tuple(Fraction(int(k == taps - 1)) for k in range(taps))),
        output=tuple((*(p**i for p in points), Fraction(int(i == outputs - 1))) for i in range(outputs)),
    )


def c_header(sizes: tuple[tuple[int, int], ...]) -> str:
    """`simd/winograd_matrices.h`: input and output transforms of every (outputs, taps), exact in float32."""
    lines = [
        "/* Made by smidgen.kernels.cook_toom.c_header, which a test compares with this file. */",
        "#ifndef SMIDGEN_WINOGRAD_MATRICES_H",
        "#define SMIDGEN_WINOGRAD_MATRICES_H",
        "",
        "/* clang-format off */",
    ]
    for outputs, taps in sizes:
        made = cook_toom(outputs, taps)
        for name, matrix in (("INPUT", made.input), ("OUTPUT", made.output)):
            lines.append(f"static const float WINOGRAD_{name}_{outputs}_{taps}[] = {{")
            lines += [
                "    "
                + ", ".join(f"{float(entry):g}f" if float(entry) % 1 else f"{int(entry)}" for entry in row)
                + ","
                for row in matrix
            ]
            lines.append("};")
    return "\n".join([*lines, "/* clang-format on */", "", "#endif", ""])


def _from_roots(roots: tuple[Fraction, ...], length: int) -> tuple[Fraction, ...]:
    """Coefficients of the product of (x - root), constant first, filled up with zeros."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return tuple(coefficients + [Fraction(0)] * (length - len(coefficients)))
