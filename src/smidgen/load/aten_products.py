"""ATen products of tensors: matmul and its kin, einsum, attention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.load.aten_call import Call, Handler
from smidgen.load.products import attention, einsum, matmul, product
from smidgen.load.source import Constant, NotCaptured


def _matmul(call: Call) -> str:
    a, b = call.args["self"], call.args["other" if "other" in call.args else "mat2"]
    call.outer_batch(a if isinstance(a, str) else b, rows_too=isinstance(b, Constant))
    return matmul(call.source, a, b, call.name)


def _addmm(call: Call) -> str:
    """bias + x @ W."""
    x = call.args["mat1"]
    if not isinstance(x, str) or call.args["beta"] != 1 or call.args["alpha"] != 1:
        raise NotCaptured("a scaled sum of a matrix product", "Use a linear layer")
    return call.source.linear(x, call.needed("mat2"), call.needed("self"), call.name, transposed=True)


def _baddbmm(call: Call) -> str:
    """beta * self + alpha * batch1 @ batch2."""
    a, b, added = (call.args[key] for key in ("batch1", "batch2", "self"))
    if not (isinstance(a, str) and isinstance(b, str)):
        raise NotCaptured("a product with a constant", "Use a linear layer")
    beta, alpha = float(call.args["beta"]), float(call.args["alpha"])
    made = product(call.source, a, b, f"{call.name}.product", alpha)
    if beta == 0:
        return made
    if isinstance(added, Constant):
        return call.source.add(made, Constant(added.array * beta), call.name)
    return call.source.add(made, call.source.scale(added, beta, f"{call.name}.scaled"), call.name)


def _attention(call: Call) -> str:
    query, key, value = (call.args[role] for role in ("query", "key", "value"))
    if not all(isinstance(x, str) for x in (query, key, value)):
        raise NotCaptured("attention to a constant", "Compute queries, keys and values from the input")
    if call.args["dropout_p"]:
        raise NotCaptured("dropout in training mode", "Call .eval() before exporting")
    call.outer_batch(query)
    mask = call.constant("attn_mask")
    if call.args["is_causal"]:
        sizes = (call.source.shape(x)[-2] for x in (query, key))
        mask = Constant(np.tri(*sizes, dtype=np.bool_))
    return attention(call.source, query, key, value, call.args["scale"], mask, call.name)


def _einsum(call: Call) -> str:
    made, batch = einsum(call.source, call.text["equation"], call.args["tensors"], call.batch_axis, call.name)
    if batch != call.batch_out:
        raise NotCaptured("an einsum with the batch in several places", "Keep the batch first")
    return made


PRODUCT_HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    "addmm": _addmm,
    "baddbmm": _baddbmm,
    "scaled_dot_product_attention": _attention,
    "einsum": _einsum,
}
