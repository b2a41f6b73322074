"""The contract of a weight format: an immutable value that knows its real meaning and its integers."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin


@dataclass(frozen=True)
class Leaf:
    """One stream of integers, the unit that the codec writes and that a device keeps in flash.

    `symbols` is a flat integer array; `bits` (1..32) is the width of one symbol when packed without
    entropy coding, two's complement if `signed`. `shape` of the tensor that the symbols fill in C order, if
    they fill one: a hint for the codec, which finds neighbours by it; not stored.
    """

    name: str
    symbols: Array
    bits: int
    signed: bool
    shape: tuple[int, ...] = ()

    @property
    def packed_bytes(self) -> int:
        return (self.symbols.size * self.bits + 7) // 8


class Format(ABC):
    """How one weight tensor is represented. Frozen; formats nest (a `Sparse` holds an `Affine`).

    A subclass is final, lives in `formats/<lowercase name>.py`, and is found by that path.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @abstractmethod
    def decode(self) -> npt.NDArray[np.float32]:
        """The real weights it stands for, exactly, float32 of `shape`."""

    @abstractmethod
    def leaves(self) -> tuple[Leaf, ...]:
        """The integer streams that, with `meta()`, hold everything. Names are unique within the format."""

    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """Small msgpack-able description (shape, bits, …); nested formats under the key `inner`."""

    @classmethod
    @abstractmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Format:
        """Inverse of (`meta`, `leaves`). Raises BadFile when the two do not fit together."""

    @abstractmethod
    def twin(self) -> Twin:
        """A trainable torch stand-in: `.weight()`, `.progress(t)`, `.freeze() -> Format`."""

    # Integer execution. Float formats have none.

    def integers(self) -> IntegerWeights | None:
        """The integers that an integer kernel multiplies with, or None for a float format."""
        return None

    def map_dense(self, change: Callable[[npt.NDArray[np.float32]], Format]) -> Format:
        """A copy in which the innermost float tensor is replaced by `change(tensor)`."""
        return self

    @property
    def latent(self) -> npt.NDArray[np.float32]:
        """The float weights that training continues from: unrounded where known, else `decode()`."""
        return self.decode()

    def stored_bytes(self) -> int:
        """Bytes of all leaves bit-packed without entropy coding: what a device keeps in flash."""
        return sum(leaf.packed_bytes for leaf in self.leaves())

    @property
    def label(self) -> str:
        """A short name for reports, e.g. `sparse(affine4)`."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class IntegerWeights:
    """real = values * scale[channel]: `values` int8 of the weight's shape, `scale` float32 [O] or [1]."""

    values: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]


def format_class(name: str) -> type[Format]:
    """The format class called `name` (its module is the lowercase name). Raises BadFile if unknown."""
    if not name.isidentifier() or not name.isascii():
        raise BadFile("format", f"unknown weight format {name!r}", "", "Update smidgen to read this file")
    try:
        found = getattr(importlib.import_module(f"smidgen.formats.{name.lower()}"), name, None)
    except ModuleNotFoundError:
        found = None
    if not (isinstance(found, type) and issubclass(found, Format) and found is not Format):
        raise BadFile("format", f"unknown weight format {name!r}", "", "Update smidgen to read this file")
    return found


def to_parts(fmt: Format) -> tuple[dict[str, Any], tuple[Leaf, ...]]:
    """(meta with the class name under `format`, leaves): what `from_parts` turns back into the format."""
    return {"format": type(fmt).__name__, **fmt.meta()}, fmt.leaves()


def from_parts(meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Format:
    """Inverse of `to_parts`. Raises BadFile when the description is not understood."""
    return format_class(str(meta.get("format"))).from_leaves(meta, leaves)
