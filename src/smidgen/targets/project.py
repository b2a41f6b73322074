"""The manifest of an emitted C project: what a runner must know to build and feed it, without the Graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smidgen.errors import BadFile, BadInput
from smidgen.numerics import Array

MANIFEST = "manifest.json"
SOURCE = r"^(src/)?(kernels/)?[A-Za-z0-9_]+\.c$"


class Tensor(BaseModel):
    """An input or output of one sample: `real = (q - zero) * scale`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: tuple[int, ...]
    dtype: Literal["int8", "int16"]
    scale: float
    zero: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize


class Step(BaseModel):
    """A call of a kernel for a layer (its number); neighbours of one layer with turns > 1 are a loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int = Field(ge=0)
    turns: int = Field(ge=1)


class Manifest(BaseModel):
    """`prefix` starts every C name of the model; `sources` are the model's own files, without any main;
    `steps` are its calls in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    numerics_version: int
    arena_bytes: int = Field(ge=0)
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    layers: tuple[str, ...]
    steps: tuple[Step, ...]
    sources: tuple[str, ...]

    @property
    def input_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.inputs)

    @property
    def output_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.outputs)

    @property
    def executed_layers(self) -> list[int]:
        """The layer of every call of a kernel in one inference, loops unrolled."""
        loops = groupby(enumerate(self.steps), key=_loop)
        blocks = [[step for _, step in loop] for _, loop in loops]
        return [step.layer for block in blocks for _ in range(block[0].turns) for step in block]


def _loop(numbered: tuple[int, Step]) -> tuple[int, int, int]:
    """The same for all calls of a loop, and for no other two neighbours."""
    number, step = numbered
    return (step.layer, step.turns, 0 if step.turns > 1 else number)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the project in `folder`. Raises BadFile if there is none or it is damaged."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as problem:
        raise BadFile(
            str(folder), f"no {MANIFEST}", "an emitted C project has one", "Emit it again"
        ) from problem
    except ValidationError as problem:
        first = problem.errors()[0]["msg"]
        raise BadFile(str(path), f"not a manifest ({first})", "", "Emit the project again") from problem


def pack_samples(tensors: Sequence[Tensor], x: Array | Sequence[Array]) -> bytes:
    """The bytes of a batch, sample after sample, all inputs of a sample together. Raises BadInput."""
    arrays = [x] if isinstance(x, np.ndarray) else list(x)
    if len(arrays) != len(tensors):
        raise BadInput("inputs", f"{len(arrays)} arrays", f"the model takes {len(tensors)}")
    rows = [_rows(tensor, array) for tensor, array in zip(tensors, arrays)]
    if len({len(r) for r in rows}) != 1:
        raise BadInput("inputs", f"batches of {[len(r) for r in rows]} samples", "all inputs need the same")
    return np.concatenate(rows, axis=1).tobytes()


def _rows(tensor: Tensor, array: Array) -> Array:
    """uint8 [n, bytes of one sample]."""
    if array.dtype.name != tensor.dtype or array.shape[1:] != tensor.shape or not len(array):
        found = f"{array.dtype} {list(array.shape)}"
        expected = f"{tensor.dtype} [n, {', '.join(map(str, tensor.shape))}] with n > 0 is needed"
        raise BadInput(
            f"input {tensor.name}", found, expected, "Quantize the input with the model's grid first"
        )
    return np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)


def unpack_samples(tensors: Sequence[Tensor], raw: bytes, n: int) -> tuple[Array, ...]:
    """Inverse of `pack_samples` for outputs. Raises BadFile when the length is wrong."""
    each = [tensor.nbytes for tensor in tensors]
    if len(raw) != n * sum(each):
        raise BadFile(
            "runner", f"{len(raw)} bytes of output", f"{n} samples make {n * sum(each)}", "Emit it again"
        )
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(n, -1)
    parts = np.split(rows, np.cumsum(each)[:-1], axis=1)
    return tuple(
        np.ascontiguousarray(part).view(tensor.dtype).reshape(n, *tensor.shape)
        for tensor, part in zip(tensors, parts)
    )
