"""Products of tensors, and attention made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from smidgen.load.source import Constant, NotCaptured, Operand, Source


def matmul(source: Source, a: Operand | None, b: Operand | None, name: str) -> str:
    """a @ b on the last two axes; one of them may be a constant matrix. Samples, so without the batch."""
    if isinstance(a, str) and isinstance(b, str):
        return product(source, a, b, name)
    if isinstance(a, str) and isinstance(b, Constant):
        matrix = _matrix(b)
        if matrix.array.ndim == 1:  # a vector: one output, whose axis disappears
            column = replace(matrix, array=matrix.array[None, :])
            made = source.linear(a, column, None, name)
            return source.reshape(made, source.shape(a)[:-1], f"{name}.dropped")
        return source.linear(a, matrix, None, name, transposed=True)
    if isinstance(a, Constant) and isinstance(b, str):
        matrix = _matrix(a)
        if matrix.array.ndim == 1 or source.rank(b) < 2:
            raise NotCaptured("a constant vector times a tensor", "Use a linear layer")
        return source.axis_last(b, source.rank(b) - 2, name, lambda v: source.linear(v, matrix, None, name))
    raise NotCaptured("an operation on two constants")


def product(source: Source, a: str, b: str, name: str, scale: float = 1.0) -> str:
    """scale * a @ b of two computed tensors."""
    if min(source.rank(a), source.rank(b)) < 2 or source.rank(a) != source.rank(b):
        found = f"a product of samples of ranks {source.rank(a)} and {source.rank(b)}"
        raise NotCaptured(found, "Give both a row and a column axis beside the batch")
    return source.op("matmul", [a, b], name, scale=scale)


def attention(
    source: Source, query: str, key: str, value: str, scale: float | None, mask: Constant | None, name: str
) -> str:
    """softmax(scale * query @ key^T + mask) @ value with [..., T, D] each; the scale defaults to D^-1/2.

    A mask of booleans is true for what counts.
    """
    rank, depth = source.rank(key), source.shape(query)[-1]
    turned = source.transpose(key, [*range(rank - 2), rank - 1, rank - 2], f"{name}.keys")
    factor = 1.0 / math.sqrt(depth) if scale is None else float(scale)
    scores = product(source, query, turned, f"{name}.scores", factor)
    kept = None if mask is None or mask.array.dtype != np.bool_ else mask.array
    if mask is not None and kept is None:
        scores = source.add(scores, mask, f"{name}.masked")
    weights = source.softmax(scores, rank - 1, f"{name}.softmax", kept)
    return product(source, weights, value, name)


def _matrix(constant: Constant) -> Constant:
    array = constant.array
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > 2:
        raise NotCaptured(f"a product with a constant of {array.ndim} axes", "Use a linear layer")
    return replace(constant, array=array)


def einsum(
    source: Source, equation: str, values: Sequence[Operand], batch: int, name: str
) -> tuple[str, int]:
    """(value, batch axis) of an einsum of one or two operands; `batch`: where the batch is in the values.

    Letters of both operands that are kept lead the product, those that are summed are its inner axis.
    """
    left, right = _parsed(equation, len(values))
    letter = next(terms[batch] for terms, value in zip(left, values, strict=True) if isinstance(value, str))
    if letter not in right:
        raise NotCaptured("it sums over the samples of a batch", "Keep samples independent")
    out = right.replace(letter, "")
    terms = [own.replace(letter, "") if isinstance(v, str) else own for own, v in zip(left, values)]
    if any(isinstance(v, Constant) and letter in own for own, v in zip(left, values, strict=True)):
        raise NotCaptured("a constant that differs between the samples of a batch")
    made = (_permuted if len(values) == 1 else _contracted)(source, terms, out, values, name)
    return made, right.index(letter)


def _parsed(equation: str, count: int) -> tuple[list[str], str]:
    text = equation.replace(" ", "")
    if "->" not in text:
        text += "->" + "".join(sorted(c for c in set(text) - {","} if text.count(c) == 1))
    given, _, right = text.partition("->")
    left = given.split(",")
    if "." in text or len(left) != count or count > 2 or any(len(set(t)) < len(t) for t in (*left, right)):
        raise NotCaptured(f"the einsum {equation!r}", "Use matmul, transpose and sum")
    return left, right


def _permuted(source: Source, terms: list[str], out: str, values: Sequence[Operand], name: str) -> str:
    if sorted(terms[0]) != sorted(out) or not isinstance(values[0], str):
        raise NotCaptured("an einsum that sums over one operand", "Use sum")
    return source.transpose(values[0], [terms[0].index(c) for c in out], name)


def _contracted(source: Source, terms: list[str], out: str, values: Sequence[Operand], name: str) -> str:
    """Operands as [shared..., own, summed] and [shared..., summed, own]; the product in `out`'s order."""
    (first, second), (a, b) = terms, values
    summed = [c for c in first if c in second and c not in out]
    shared = [c for c in out if c in first and c in second]
    own = [[c for c in t if c in out and c not in shared] for t in terms]
    if sorted(summed + shared + own[0]) != sorted(first) or sorted(summed + shared + own[1]) != sorted(
        second
    ):
        raise NotCaptured("an einsum that sums over one operand alone", "Use sum")
    sizes = _sizes(source, terms, values)
    left = _grouped(source, a, first, shared, own[0], summed, sizes, f"{name}.left")
    right = _grouped(source, b, second, shared, summed, own[1], sizes, f"{name}.right")
    made = matmul(source, left, right, name)
    order = [*shared, *own[0], *own[1]]
    made = source.reshape(made, [sizes[c] for c in order], f"{name}.shaped")
    return source.transpose(made, [order.index(c) for c in out], f"{name}.ordered")


def _sizes(source: Source, terms: list[str], values: Sequence[Operand]) -> dict[str, int]:
    found: dict[str, int] = {}
    for own, value in zip(terms, values, strict=True):
        shape = source.shape(value) if isinstance(value, str) else value.array.shape
        found |= dict(zip(own, shape, strict=True))
    return found


def _grouped(
    source: Source,
    value: Operand,
    letters: str,
    shared: list[str],
    rows: list[str],
    columns: list[str],
    sizes: dict[str, int],
    name: str,
) -> Operand:
    """The operand as [shared..., rows, columns], each group of letters one axis."""
    perm = [letters.index(c) for c in (*shared, *rows, *columns)]
    shape = (
        *(sizes[c] for c in shared),
        math.prod(sizes[c] for c in rows),
        math.prod(sizes[c] for c in columns),
    )
    if isinstance(value, Constant):
        return replace(value, array=value.array.transpose(perm).reshape(shape))
    return source.reshape(source.transpose(value, perm, f"{name}.moved"), shape, name)
