"""What both loaders share: operators in the source's layout (channels first), appended to a graph.

Every axis-sensitive operator stands between two explicit transposes; `layout.simplify` removes most of them.
Axes and shapes here are per sample: the batch dimension is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.formats import Integer
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.graph.build import each
from smidgen.graph.names import unused
from smidgen.load.stored import StoredGrid
from smidgen.numerics import Array

Pairs = Sequence[tuple[int, int]]

MASKED = -1e4  # scores this far below others have a weight of 0 in float32


class NotCaptured(Exception):
    """An operator, or its settings, that the graph can't express: it becomes an island."""

    def __init__(self, reason: str, remedy: str = "Replace it by a supported operator") -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known at load time; `name` is the user's (`conv1.weight`), empty for a computed one.

    `stored`: the grid that another tool put it on.
    """

    array: Array
    name: str = ""
    stored: StoredGrid | None = None


Operand = str | Constant  # the name of a value of the graph, or a constant


class Source:
    """A GraphBuilder that speaks channels first. Every method returns the name of the value it made."""

    def __init__(self, name: str) -> None:
        self.builder = GraphBuilder(name)
        self._arrays: dict[str, Array] = {}
        self._names: set[str] = set()
        self._masked: dict[str, tuple[str, Array]] = {}  # scores -> (those before masking, true where kept)

    def input(self, name: str, shape: Sequence[int]) -> str:
        return self.builder.input(unused(self._names, name), shape)

    def free_name(self, stem: str) -> str:
        """A name for a node that the builder is given directly."""
        return unused(self._names, stem)

    def shape(self, value: str) -> tuple[int, ...]:
        return self.builder.shape(value)

    def rank(self, value: str) -> int:
        return len(self.shape(value))

    def op(
        self,
        op: str,
        inputs: Sequence[str],
        name: str,
        params: Mapping[str, str] | None = None,
        **attrs: Any,
    ) -> str:
        return self.builder.op(op, inputs, params, unused(self._names, name), **attrs)

    def weight(self, constant: Constant, fallback: str, array: Array | None = None) -> str:
        """Store a constant (or `array`, the form of it that the graph needs) and return its name.

        The same tensor used again is stored once. Raises BadInput for NaN or infinity.
        """
        stored = np.asarray(constant.array if array is None else array, dtype=np.float32)
        base = constant.name or fallback
        if not np.isfinite(stored).all():
            raise BadInput(base, "the weight has NaN or infinity", "weights must be finite", "Train it again")
        name, copy = base, 2
        while name in self._arrays and not same_array(self._arrays[name], stored):
            name, copy = f"{base}.{copy}", copy + 1
        self._arrays[name] = stored
        fmt = constant.stored.format(stored) if constant.stored else None
        return self.builder.weight(name, stored if fmt is None else fmt)

    # Weighted operators

    def conv(
        self,
        x: str,
        weight: Constant,
        bias: Constant | None,
        stride: Sequence[int] | int,
        padding: Pairs,
        dilation: Sequence[int] | int,
        groups: int,
        name: str,
    ) -> str:
        """Convolution of [C, *space] with weight [O, C/groups, *k]."""
        rank = self.rank(x) - 1
        if rank not in (1, 2):
            raise NotCaptured(f"a convolution over {rank} spatial axes", "Use one or two spatial axes")
        params = {"weight": self.weight(weight, f"{name}.weight", np.moveaxis(weight.array, 1, -1))}
        if bias is not None:
            params["bias"] = self.weight(bias, f"{name}.bias")
        attrs = {"stride": each(_ints(stride), rank), "padding": tuple(padding), "groups": groups}
        attrs["dilation"] = each(_ints(dilation), rank)
        return self.channels_last(x, name, lambda v: self.op("conv", [v], name, params, **attrs))

    def linear(
        self, x: str, weight: Constant, bias: Constant | None, name: str, transposed: bool = False
    ) -> str:
        """x @ weight.T + bias on the last axis; weight [O, I], or [I, O] if `transposed`."""
        params = {"weight": self.weight(weight, f"{name}.weight", weight.array.T if transposed else None)}
        if bias is not None:
            out = weight.array.shape[1 if transposed else 0]
            vector = np.broadcast_to(bias.array.reshape(-1), (out,))
            params["bias"] = self.weight(bias, f"{name}.bias", vector)
        return self.op("linear", [x], name, params)

    def batch_norm(self, x: str, statistics: Mapping[str, Constant | None], epsilon: float, name: str) -> str:
        """`statistics`: gamma, beta (None: 1 and 0), mean, variance, each [C]."""
        mean = statistics["mean"]  # its length, and not the claimed shape, is backed by the file
        channels = 0 if mean is None else mean.array.size
        params = {}
        for role in ("gamma", "beta", "mean", "variance"):
            constant = statistics[role]
            if constant is None and role in ("mean", "variance"):
                raise NotCaptured("batch normalization without running statistics")
            fill = Constant(np.full(channels, 1.0 if role == "gamma" else 0.0, np.float32))
            params[role] = self.weight(constant or fill, f"{name}.{role}")
        return self.channels_last(
            x, name, lambda v: self.op("batch_norm", [v], name, params, epsilon=float(epsilon))
        )

    # Windows and axes

    def pool(
        self,
        kind: str,
        x: str,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Pairs,
        name: str,
        count_padding: bool = False,
    ) -> str:
        """`kind` is max or avg, over the spatial axes of [C, *space]."""
        if len(kernel) not in (1, 2):
            raise NotCaptured(f"pooling over {len(kernel)} spatial axes", "Use one or two spatial axes")
        attrs: dict[str, Any] = {"count_padding": count_padding} if kind == "avg" else {}
        attrs |= {"kernel": tuple(kernel), "stride": tuple(stride), "padding": tuple(padding)}
        return self.channels_last(x, name, lambda v: self.op(f"{kind}_pool", [v], name, **attrs))

    def mean(self, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
        return self.op("mean", [x], name, axes=tuple(sorted(axes)), keepdims=keepdims)

    def reduce_max(self, x: str, axes: Sequence[int], keepdims: bool, name: str) -> str:
        return self.op("reduce_max", [x], name, axes=tuple(sorted(axes)), keepdims=keepdims)

    def normalize(self, x: str, axes: Sequence[int], epsilon: float, name: str, centered: bool = True) -> str:
        """(x - mean) / sqrt(variance + epsilon); not `centered`: x / sqrt(mean of squares + epsilon)."""
        over = tuple(sorted(axes))
        return self.op("normalize", [x], name, axes=over, epsilon=float(epsilon), centered=centered)

    def softmax(self, x: str, axis: int, name: str, mask: Array | None = None) -> str:
        """`mask` broadcasts to x: true for what counts. Scores that a constant has masked bring theirs."""
        scores, kept = (x, mask) if mask is not None else self._masked.get(x, (x, None))
        params: dict[str, str] = {}
        if kept is not None and aligned(kept, self.rank(x)).any(axis=axis).all():
            order = [*(a for a in range(self.rank(x)) if a != axis), axis]
            turned = aligned(kept, self.rank(x)).transpose(order)
            params["mask"] = self._mask(turned, f"{name}.mask")
        return self.axis_last(scores, axis, name, lambda v: self.op("softmax", [v], name, params))

    def fill(self, x: str, kept: Array, value: float, name: str) -> str:
        """x where the constant `kept`, which broadcasts to x, is true, else `value` (perhaps -infinity)."""
        if np.isneginf(value):
            _check_rows(kept)
        limits = np.finfo(np.float32)
        lowest = float(np.clip(value, limits.min, limits.max))
        part = self.mul(x, Constant(kept.astype(np.float32)), f"{name}.kept")
        filled = self.add(part, Constant(np.where(kept, 0.0, lowest)), name)
        if value <= MASKED:
            self._masked[filled] = (x, kept)
        return filled

    def concat(self, values: Sequence[str], axis: int, name: str) -> str:
        return values[0] if len(values) == 1 else self.op("concat", values, name, axis=axis)

    def pad(self, x: str, pads: Pairs, value: float, name: str) -> str:
        if any(n < 0 for pair in pads for n in pair):
            raise NotCaptured("padding by negative amounts (cropping)")
        return self.op("pad", [x], name, pads=tuple(pads), value=float(value))

    def reshape(self, x: str, shape: Sequence[int], name: str) -> str:
        return x if tuple(shape) == self.shape(x) else self.op("reshape", [x], name, shape=tuple(shape))

    def slice(self, x: str, axis: int, start: int, stop: int, step: int, name: str) -> str:
        """Elements start, start + step, … before stop of an axis; like in Python, but never none."""
        size = self.shape(x)[axis]
        first, last, _ = slice(start, stop, step).indices(size)
        if not range(first, last, step):
            raise NotCaptured("a slice without elements")
        if step < 1:
            return self.gather(x, axis, range(first, last, step), name)
        whole = (first, last, step) == (0, size, 1)
        return x if whole else self.op("slice", [x], name, axis=axis, start=first, stop=last, step=step)

    def gather(self, x: str, axis: int, positions: npt.ArrayLike, name: str) -> str:
        """These positions of an axis, in their order; any may repeat, none be left."""
        size, found = self.shape(x)[axis], np.asarray(positions, np.int32)
        if not found.size or found.min() < 0 or found.max() >= size:
            raise NotCaptured(f"positions {found.tolist()[:8]} of an axis of {size}")
        steps = set(np.diff(found).tolist()) or {1}
        if len(steps) == 1 and min(steps) > 0:
            return self.slice(x, axis, int(found[0]), int(found[-1]) + 1, min(steps), name)
        stored = self.builder.weight(unused(self._names, f"{name}.indices"), Integer(found))
        return self.op("gather", [x], name, {"indices": stored}, axis=axis)

    def select(self, x: str, axis: int, index: int, name: str) -> str:
        """One position of an axis, which disappears."""
        shape = self.shape(x)
        at = index % shape[axis]
        row = self.slice(x, axis, at, at + 1, 1, name)
        return self.reshape(row, [n for i, n in enumerate(shape) if i != axis], f"{name}.row")

    def split(self, x: str, axis: int, sizes: Sequence[int], name: str) -> list[str]:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        pairs = enumerate(zip(starts, sizes, strict=True))
        return [self.slice(x, axis, start, start + n, 1, f"{name}.{i}") for i, (start, n) in pairs]

    def embedding(self, indices: str, table: Constant, name: str) -> str:
        """Rows of the table [rows, features] for whole numbers (as real ones)."""
        return self.op("embedding", [indices], name, {"weight": self.weight(table, f"{name}.weight")})

    def transpose(self, x: str, perm: Sequence[int], name: str) -> str:
        identity = list(perm) == list(range(len(perm)))
        return x if identity else self.op("transpose", [x], name, perm=tuple(perm))

    def channels_last(self, x: str, name: str, make: Callable[[str], str]) -> str:
        return self.axis_last(x, 0, name, make)

    def axis_last(self, x: str, axis: int, name: str, make: Callable[[str], str]) -> str:
        """Apply `make`, which works on the last axis, to another axis."""
        rank = self.rank(x)
        order = [*(a for a in range(rank) if a != axis), axis]
        inverse = [order.index(a) for a in range(rank)]
        return self.transpose(make(self.transpose(x, order, f"{name}.in")), inverse, f"{name}.out")

    # Arithmetic

    def add(self, a: Operand, b: Operand, name: str) -> str:
        return self._binary("add", a, b, name)

    def mul(self, a: Operand, b: Operand, name: str) -> str:
        return self._binary("mul", a, b, name)

    def subtract(self, a: Operand, b: Operand, name: str) -> str:
        """a - b."""
        if isinstance(a, str) and isinstance(b, str):
            return self._binary("sub", a, b, name)
        negative = Constant(-b.array) if isinstance(b, Constant) else self.scale(b, -1.0, f"{name}.negative")
        return self._binary("add", a, negative, name)

    def scale(self, x: str, factor: float, name: str) -> str:
        """factor * x."""
        return x if factor == 1.0 else self._with_constant("mul", x, Constant(np.array(factor)), name)

    def shift(self, x: str, offset: float, name: str) -> str:
        """x + offset."""
        return x if offset == 0.0 else self._with_constant("add", x, Constant(np.array(offset)), name)

    def _binary(self, op: str, a: Operand, b: Operand, name: str) -> str:
        if isinstance(a, Constant):
            a, b = b, a
        if isinstance(a, Constant):
            raise NotCaptured("an operation on two constants")
        if isinstance(b, Constant):
            return self._with_constant(op, a, b, name)
        if self.rank(a) != self.rank(b):
            raise NotCaptured(f"{op} of samples of ranks {self.rank(a)} and {self.rank(b)}")
        return self.op(op, [a, b], name)

    def _with_constant(self, op: str, x: str, constant: Constant, name: str) -> str:
        """`op` with a constant that broadcasts to x: along one axis, or all elements at once."""
        if not self.rank(x) and constant.array.size == 1:  # one number a sample
            row = self._with_constant(op, self.reshape(x, (1,), f"{name}.row"), constant, f"{name}.one")
            return self.reshape(row, (), name)
        shape, array = self.shape(x), aligned(constant.array, self.rank(x))
        try:
            whole = np.broadcast_shapes(shape, array.shape)
        except ValueError:
            found = f"{op} of a constant {list(array.shape)} to samples {list(shape)}"
            raise NotCaptured(found) from None
        if op == "add" and (array <= MASKED).any():
            return self._masked_sum(x, array, name)
        varying = [axis for axis, n in enumerate(array.shape) if n > 1]
        if not shape or whole != shape or len(varying) > 1:
            return self.op(op, [x, self.constant(replace(constant, array=array), f"{name}.constant")], name)
        axis = varying[0] if varying else len(shape) - 1
        vector = np.broadcast_to(array.ravel(), (shape[axis],))
        params = {"constant": self.weight(constant, f"{name}.constant", vector)}
        return self.axis_last(x, axis, name, lambda v: self.op(f"{op}_constant", [v], name, params))

    def _masked_sum(self, x: str, array: Array, name: str) -> str:
        """x + array, where some entries of `array` are so low that a softmax gives them no weight."""
        _check_rows(~np.isneginf(array))
        limits = np.finfo(np.float32)
        finite = Constant(np.clip(array, limits.min, limits.max))
        total = self.op("add", [x, self.constant(finite, f"{name}.constant")], name)
        if np.isin(array[array > MASKED], 0).all():
            self._masked[total] = (x, array > MASKED)
        return total

    def constant(self, constant: Constant, name: str) -> str:
        """The same tensor for every sample, its shape without the batch."""
        if not np.isfinite(constant.array).all():
            raise NotCaptured("a constant with infinity or NaN", "Use finite numbers")
        params = {"value": self.weight(constant, f"{name}.value")}
        return self.op("constant", [], name, params)

    def _mask(self, kept: Array, name: str) -> str:
        stored = np.ascontiguousarray(kept != 0).astype(np.uint8)
        unique = unused(self._names, name)
        return self.builder.weight(unique, Integer(stored))

    # Finishing

    def island(
        self, inputs: Sequence[str], shapes: Sequence[Sequence[int]], name: str, **attrs: Any
    ) -> tuple[str, ...]:
        """A node that runs in its source's runtime; see `run.islands`."""
        unique = unused(self._names, name)
        several = [unique, *(f"{unique}.{i}" for i in range(1, len(shapes)))]
        attrs["shapes"] = tuple(tuple(shape) for shape in shapes)
        return self.builder.append(Node(unique, "island", tuple(inputs), tuple(several), {}, attrs))

    def graph(self, outputs: Sequence[str]) -> Graph:
        return self.builder.graph(outputs)


def _check_rows(kept: npt.NDArray[Any]) -> None:
    """A softmax over nothing but -infinity is NaN, and some networks ask for it: finite numbers have none."""
    if kept.ndim and not kept.astype(bool).any(axis=-1).all():
        raise NotCaptured("a mask of -infinity that leaves nothing of a row", "Leave one entry in each row")


def aligned(array: npt.NDArray[Any], rank: int) -> npt.NDArray[Any]:
    """A constant as a tensor of a sample's rank: leading ones (the batch's too) dropped or added."""
    while array.ndim > rank and array.shape[0] == 1:
        array = array[0]
    if array.ndim > rank:
        raise NotCaptured(f"a constant {list(array.shape)} that differs between the samples of a batch")
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def same_array(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b))


def _ints(value: Sequence[int] | int) -> Sequence[int] | int:
    """A one-element list means the same on every axis."""
    if isinstance(value, int):
        return value
    return int(value[0]) if len(value) == 1 else tuple(int(v) for v in value)
