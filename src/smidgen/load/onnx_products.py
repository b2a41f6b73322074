"""ONNX products of tensors: MatMul, Einsum, Attention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.load.onnx_call import Call, Handler, Placed
from smidgen.load.products import attention, einsum, matmul
from smidgen.load.source import Constant, NotCaptured


def _matmul(call: Call) -> str | Placed:
    a, b = call.inputs[:2]
    rank = call.source.rank(next(value for value in (a, b) if isinstance(value, str)))
    outer = rank - 1 if isinstance(b, Constant) else rank - 2  # rows may be samples of a constant's factor
    if call.batch_axis > outer:
        raise NotCaptured("it multiplies across the samples of a batch", "Keep the batch first")
    made = matmul(call.source, a, b, call.name)
    return made if call.source.rank(made) == rank else call.without([rank - 1], made)


def _einsum(call: Call) -> Placed:
    equation = call.attrs["equation"].decode()
    values = [call.operand(i) for i in range(len(call.inputs))]
    return Placed(*einsum(call.source, equation, values, call.batch_axis, call.name))


def _attention(call: Call) -> str:
    """[n, heads, T, D] each, or [n, T, heads * D]; a head of keys may serve several of queries."""
    if any(given is not None for given in call.inputs[4:]) or call.attrs.get("softcap"):
        raise NotCaptured("attention with a cache or capped scores", "Export it without them")
    if any(call.attrs.get(f"{side}_window_size", -1) != -1 for side in ("left", "right")):
        raise NotCaptured("attention within a window", "Use a mask")
    flat = call.source.rank(call.x) == 2
    counts = [int(call.attrs.get(f"{kind}_num_heads", 1)) for kind in ("q", "kv", "kv")]
    query, key, value = (_heads(call, i, counts[i]) if flat else call.value(i) for i in range(3))
    served, heads = (call.source.shape(x)[0] for x in (query, key))
    groups = np.repeat(np.arange(heads), served // heads)
    key, value = (
        call.source.gather(x, 0, groups, f"{call.name}.{word}.shared")
        for x, word in ((key, "keys"), (value, "values"))
    )
    mask = call.constant(3)
    if call.attrs.get("is_causal"):
        if mask is not None:
            raise NotCaptured("attention with a mask that is causal too", "Combine both masks")
        sizes = (call.source.shape(x)[-2] for x in (query, key))
        mask = Constant(np.tri(*sizes, dtype=np.bool_))
    made = attention(call.source, query, key, value, call.attrs.get("scale"), mask, call.name)
    if not flat:
        return made
    joined = call.source.transpose(made, (1, 0, 2), f"{call.name}.joined")
    steps, *rest = call.source.shape(joined)
    return call.source.reshape(joined, (steps, int(np.prod(rest))), f"{call.name}.merged")


def _heads(call: Call, index: int, heads: int) -> str:
    """[T, heads * D] -> [heads, T, D]."""
    steps, width = call.source.shape(call.value(index))
    split = call.source.reshape(call.value(index), (steps, heads, width // heads), f"{call.name}.{index}")
    return call.source.transpose(split, (1, 0, 2), f"{call.name}.{index}.turned")


PRODUCT_HANDLERS: Mapping[str, Handler] = {"MatMul": _matmul, "Einsum": _einsum, "Attention": _attention}
