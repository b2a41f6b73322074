"""QuantizeLinear and DequantizeLinear of a model that is quantized already: what they say about grids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from smidgen.formats import Grid
from smidgen.formats.imported import expanded
from smidgen.load.source import NotCaptured
from smidgen.load.stored import StoredGrid
from smidgen.numerics import Array

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
WIDTHS = {"int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16}
REMEDY = "Quantize with one scale a tensor and 4, 8 or 16 bits"


def stored_grid(node: Any, constants: Mapping[str, Array]) -> StoredGrid | None:
    """The grid of a constant that `node`, a DequantizeLinear, turns into real numbers."""
    whole = constants.get(node.input[0])
    if whole is None or whole.dtype.name not in WIDTHS:
        return None
    scale = constants[node.input[1]].astype(np.float32)
    zero = _zero(node, constants, scale)
    return StoredGrid(scale, zero, WIDTHS[whole.dtype.name], not whole.dtype.name.startswith("u"))


def fold_grid(node: Any, constants: Mapping[str, Array]) -> Array:
    """What a Quantize- or DequantizeLinear node makes of a constant: any types, axes and blocks."""
    given, scale = constants[node.input[0]], constants[node.input[1]].astype(np.float32)
    zero = _zero(node, constants, scale)
    attrs = {a.name: a.i for a in node.attribute}
    step, origin = (_spread(a, given.shape, attrs.get("axis", 1)) for a in (scale, zero))
    if node.op_type == DEQUANTIZE:
        return np.asarray((given.astype(np.int64) - origin).astype(np.float32) * step)
    kind = constants[node.input[2]].dtype if len(node.input) > 2 and node.input[2] else np.dtype(np.uint8)
    bits = WIDTHS[kind.name]
    low = 0 if kind.name.startswith("u") else -(1 << (bits - 1))
    whole = np.rint(given.astype(np.float32) / step).astype(np.int64) + origin
    return np.clip(whole, low, low + (1 << bits) - 1).astype(kind)


def _spread(a: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Scales or zero points: one, one for each place of an axis, or one for each block."""
    if a.size == 1:
        return a.reshape((1,) * len(shape))
    if a.ndim == 1:
        return a.reshape([a.size if i == axis % len(shape) else 1 for i in range(len(shape))])
    return expanded(a, shape)


def _zero(node: Any, constants: Mapping[str, Array], scale: Array) -> Array:
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(scale.shape, np.int64)
    return np.broadcast_to(constants[node.input[2]].astype(np.int64), scale.shape)


def value_grid(node: Any, constants: Mapping[str, Array], element_type: int = 0) -> Grid:
    """The grid of the value that a Quantize- or DequantizeLinear node puts on it, or takes from it.

    Args:
        constants: what the file holds.
        element_type: of the integers, where the node does not say.

    Raises:
        NotCaptured: computed or several scales, or a type that no grid stands for.
    """
    if any(name and name not in constants for name in node.input[1:]):
        raise NotCaptured("its scale is computed", REMEDY)
    scale = constants[node.input[1]].astype(np.float32)
    given = constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
    kind = given.dtype.name if given is not None else _type_name(node, element_type)
    if scale.size != 1 or kind not in WIDTHS:
        found = f"{scale.size} scales" if scale.size != 1 else f"the type {kind}"
        raise NotCaptured(f"a value with {found}", REMEDY)
    step, bits = float(scale.reshape(-1)[0]), WIDTHS[kind]
    if not (np.isfinite(step) and step > 0):
        raise NotCaptured(f"the scale {step:g}", "Quantize again")
    zero = 0 if given is None else int(given.reshape(-1)[0].astype(np.int64))
    return Grid(step, zero - (1 << (bits - 1) if kind.startswith("u") else 0), bits)


def _type_name(node: Any, element_type: int) -> str:
    """uint8, unless the operator set is new enough to say otherwise."""
    said = next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), 0)
    chosen = said if node.op_type == QUANTIZE else element_type
    return str(helper.tensor_dtype_to_np_dtype(chosen or TensorProto.UINT8).name)
