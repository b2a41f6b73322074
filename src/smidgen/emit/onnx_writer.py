"""Collects the nodes and initializers of an ONNX graph: unique names, constants stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.numerics import MAX_SHIFT, IntArray

OPSET = 17
IR_VERSION = 8
BIAS_TO_UNSIGNED = 128  # an int8 value q is carried as the byte q + 128
WIDE_TO_UNSIGNED = 32768  # an int16 one as the int32 q + 32768
# Added before the division: makes every dividend positive, so that truncating division is the floor.
# |acc * M| < 2^47, hence dividends lie in [2^47, 2^49). It is a multiple of every 2^s.
LIFT_BITS = MAX_SHIFT + 1


class OnnxWriter:
    """Mutable while one graph is written. Methods append operators and return the name of their result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.samples = ""  # an int64 [1] tensor: the size of the batch
        self._names: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def inner(self) -> OnnxWriter:
        """A writer of nodes for a body of one of these nodes; names and constants are shared with it."""
        body = OnnxWriter()
        body.initializers, body._names, body._constants = self.initializers, self._names, self._constants
        body.samples = self.samples
        return body

    def unique(self, wanted: str) -> str:
        """`wanted`, or with a number behind it when that name is taken. Reserves the result."""
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}.{number}"
        self._names.add(name)
        return name

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike, name: str) -> str:
        """An initializer; one that holds the same bytes already is used again."""
        import onnx

        typed = np.asarray(array).astype(dtype, order="C")  # a scalar stays one
        key = (typed.dtype.str, typed.shape, typed.tobytes())
        if key not in self._constants:
            self._constants[key] = self.unique(name)
            self.initializers.append(onnx.numpy_helper.from_array(typed, self._constants[key]))
        return self._constants[key]

    def count_samples(self, x: str) -> None:
        """Take the size of the batch from `x` [n, ...]; before the first use of `per_sample`."""
        ends = [self.constant([end], np.int64, "index") for end in (0, 1)]
        self.samples = self.op("Slice", [self.op("Shape", [x], f"{x}.shape"), *ends], "samples")

    def per_sample(self, array: npt.ArrayLike, dtype: npt.DTypeLike, name: str) -> str:
        """[n, ...]: the same array for every sample."""
        stored = np.asarray(array)
        sizes = [self.samples, self.constant(stored.shape, np.int64, f"{name}.sizes")]
        shape = self.op("Concat", sizes, f"{name}.shape", axis=0)
        return self.op("Expand", [self.constant(stored, dtype, f"{name}.stored"), shape], name)

    def op(self, kind: str, inputs: list[str], name: str, **attrs: Any) -> str:
        """Append one ONNX operator whose single output is called `name` (or close to it)."""
        import onnx

        out = self.unique(name)
        self.nodes.append(onnx.helper.make_node(kind, inputs, [out], name=out, **attrs))
        return out

    def cast(self, x: str, dtype: npt.DTypeLike, name: str) -> str:
        import onnx

        return self.op("Cast", [x], name, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def affine(self, x: str, factor: IntArray, term: IntArray, name: str) -> str:
        """x * factor + term in int64."""
        product = self.op("Mul", [x, self.constant(factor, np.int64, f"{name}.factor")], f"{name}.scaled")
        return self.op("Add", [product, self.constant(term, np.int64, f"{name}.term")], f"{name}.sum")

    def to_carried(
        self, lifted: str, shift: IntArray, zero: int, bounds: tuple[int, int], bias: int, out: str
    ) -> str:
        """The end of every rule: floor(v / 2^s) + zero, saturated, as it is carried: `bias` higher.

        `lifted` is v + 2^LIFT_BITS, int64 and positive.
        """
        lo, hi = (self.constant(b + bias, np.int64, f"{out}.bound") for b in bounds)
        divisor = self.constant(np.int64(1) << shift, np.int64, f"{out}.divisor")
        quotient = self.op("Div", [lifted, divisor], f"{out}.quotient")
        offset = zero + bias - (np.int64(1) << (LIFT_BITS - shift))
        placed = self.op("Add", [quotient, self.constant(offset, np.int64, f"{out}.offset")], f"{out}.placed")
        return self.cast(self.op("Clip", [placed, lo, hi], f"{out}.saturated"), carried_type(bias), out)


def lifted_rounding(shift: IntArray) -> IntArray:
    """The half that rounds, plus the lift: 2^(s-1) + 2^LIFT_BITS."""
    return np.asarray((np.int64(1) << (shift - 1)) + (np.int64(1) << LIFT_BITS))


def carried_type(bias: int) -> type[np.uint8] | type[np.int32]:
    """The ONNX type of values that are carried with this bias."""
    return np.uint8 if bias == BIAS_TO_UNSIGNED else np.int32
