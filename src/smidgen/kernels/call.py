"""One native kernel with its constants: a function of arrays that costs a microsecond to call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.kernels import native
from smidgen.kernels.isa import chosen_isa

Array = npt.NDArray[Any]
TRIALS = 7


class Kernel:
    """y = f(x) for one sample or for many, x [*shape] or [n, *shape].

    Calls take turns: they keep the interpreter, and share memory between their steps.

    Attributes:
        name: what it computes.
        x_shape, x_dtype: of one sample.
        y_shape, y_dtype: of one result.
    """

    def __init__(
        self, name: str, x: tuple[tuple[int, ...], str], y: tuple[tuple[int, ...], str], *constants: Any
    ):
        """`constants` are arguments of the native function `name`; arrays are copied."""
        self.name = name
        self.x_shape, self.x_dtype = x[0], np.dtype(x[1])
        self.y_shape, self.y_dtype = y[0], np.dtype(y[1])
        self._axes = len(self.x_shape)
        flat = (np.ravel(c) if isinstance(c, np.ndarray) else c for c in constants)
        try:
            self._native = getattr(native(), name)(chosen_isa(), *flat)
        except (TypeError, ValueError) as problem:
            raise BadInput(name, "the constants don't fit", str(problem).split("\n")[0]) from problem

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """f(x). Copies x first where it is not contiguous or misaligned.

        Args:
            x: [*x_shape] or [n, *x_shape] of x_dtype.
            out: where the result goes, [*y_shape] or [n, *y_shape], contiguous; by default a new array.

        Raises:
            BadInput: another type or shape.
        """
        lead = x.ndim - self._axes
        if x.dtype != self.x_dtype or x.shape[lead:] != self.x_shape or not 0 <= lead <= 1:
            needed = f"{self.x_dtype} [n, {_listed(self.x_shape)}] is needed"
            raise BadInput(self.name, f"{x.dtype} {list(x.shape)}", needed)
        flags = x.flags
        if not (flags.c_contiguous and flags.aligned):
            x = np.require(x, requirements=("C", "A"))
        if out is None:
            out = np.empty(x.shape[:lead] + self.y_shape, self.y_dtype)
        elif not self._takes(out, x):
            needed = f"{self.y_dtype} [n, {_listed(self.y_shape)}], contiguous and apart from x, is needed"
            raise BadInput(self.name, f"out of {out.dtype} {list(out.shape)}", needed)
        self._native.run(x, out)
        return out

    def _takes(self, out: Array, x: Array) -> bool:
        flags = out.flags
        shape = x.shape[: x.ndim - self._axes] + self.y_shape
        whole = flags.c_contiguous and flags.aligned and flags.writeable
        return whole and out.dtype == self.y_dtype and out.shape == shape and not np.may_share_memory(out, x)


def quickest(kernels: Sequence[Kernel]) -> Kernel:
    """Of some kernels for the same float32 samples the fastest on this machine: each is timed with one."""
    x = np.random.default_rng(0).normal(size=kernels[0].x_shape).astype(np.float32)
    return min(kernels, key=lambda kernel: _seconds(kernel, x))


def _seconds(kernel: Kernel, x: Array) -> float:
    """The shortest of some calls: what disturbs a measurement only ever adds."""
    times = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        kernel(x)
        times.append(time.perf_counter() - start)
    return min(times)


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def floats(where: str, *arrays: Array) -> tuple[Array, ...]:
    """The arrays as contiguous float32.

    Raises:
        BadInput: an array holds no real numbers.
    """
    for array in arrays:
        if not np.issubdtype(array.dtype, np.floating) and not np.issubdtype(array.dtype, np.integer):
            raise BadInput(where, f"an array of {array.dtype}", "real numbers are needed")
    return tuple(np.ascontiguousarray(array, np.float32) for array in arrays)


def in_blocks(rows: Array, lanes: int = 16) -> Array:
    """[out, n] as [ceil(out / lanes), n, lanes]: neighbouring rows side by side, zeros for missing ones."""
    out, n = rows.shape
    filled = np.zeros((-(-out // lanes) * lanes, n), rows.dtype)
    filled[:out] = rows
    return np.ascontiguousarray(filled.reshape(-1, lanes, n).swapaxes(1, 2))
