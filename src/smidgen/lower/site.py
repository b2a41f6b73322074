"""What a scheduling rule sees of one node: its values, constants, and pointers to both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.errors import Unsupported
from smidgen.formats import Format, Grid, Integer
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.planner import MemoryPlan
from smidgen.lower.coded import CodedWeight
from smidgen.lower.program import Call, Constant, Pointer
from smidgen.numerics import Array


@dataclass
class Constants:
    """The constants of a program, each stored once."""

    _index: dict[str, int] = field(default_factory=dict)
    _constants: list[Constant] = field(default_factory=list)

    def pointer(self, name: str, array: Array) -> Pointer:
        """A pointer to the constant `name`, which is `array` flattened."""
        if name not in self._index:
            self._index[name] = len(self._constants)
            self._constants.append(Constant(name, np.ascontiguousarray(array).ravel()))
        index = self._index[name]
        return Pointer("constant", index, 0, self._constants[index].array.nbytes)

    def all(self) -> tuple[Constant, ...]:
        return tuple(self._constants)


@dataclass(frozen=True)
class CallSite:
    """One node of a planned graph.

    `pointers` says where values are, `copies` which reshapes have to move bytes, `in_place` which stored
    weights are multiplied as they lie, `coded` which ones that are expanded lie there entropy-coded.
    """

    graph: Graph
    pointers: Mapping[str, Pointer]
    copies: frozenset[str]
    constants: Constants
    node: Node
    in_place: Callable[[Format], bool]
    coded: Mapping[str, CodedWeight]

    def refuse(self, found: str, expected: str = "") -> Unsupported:
        """The error for a node that its kernel can't compute."""
        return Unsupported(self.node.name, found, expected)

    # Values

    def value(self, which: int = 0) -> Value:
        """The node's input number `which`."""
        return self.graph.values[self.node.inputs[which]]

    @property
    def out(self) -> Value:
        return self.graph.values[self.node.output]

    def zero(self, which: int = 0) -> int:
        """The zero point of an input."""
        return grid_of(self.value(which)).zero

    def finish(self) -> dict[str, int]:
        """The arguments that end most kernels: the output's zero point and the bounds."""
        attrs = self.node.attrs
        return {"zero_y": grid_of(self.out).zero, "lo": int(attrs["lo"]), "hi": int(attrs["hi"])}

    # Pointers

    def input(self, which: int = 0) -> Pointer:
        return self.pointers[self.node.inputs[which]]

    def output(self) -> Pointer:
        return self.pointers[self.node.output]

    def wide(self, which: int = 0) -> int:
        """1 where an input has 16 bits, else 0."""
        return int(self.value(which).dtype == "int16")

    @property
    def wide_out(self) -> int:
        return int(self.out.dtype == "int16")

    def integers(self, role: str, *dtypes: type[np.generic]) -> Array:
        """The integers of a param, 1-D, of one of `dtypes`."""
        stored = self.graph.weights[self.node.params[role]]
        if not isinstance(stored, Integer) or stored.array.dtype not in map(np.dtype, dtypes):
            names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
            raise self.refuse(f"{role} is {stored.label}", f"{names} integers are needed")
        return stored.array.ravel()

    def param(self, role: str, dtype: type[np.generic], sizes: tuple[int, ...]) -> Pointer:
        """A pointer to an integer param that has one of `sizes` entries."""
        array = self.integers(role, dtype)
        if array.size not in sizes:
            raise self.refuse(
                f"{role} has {array.size} entries", " or ".join(map(str, sizes)) + " are needed"
            )
        return self.constants.pointer(self.node.params[role], array)

    def ratio(self, entries: int = 1) -> tuple[Pointer, Pointer, int]:
        """Pointers to `multiplier` and `shift`, and 1 if they have `entries` > 1 entries, else 0."""
        multiplier = self.param("multiplier", np.uint16, (1, entries))
        shift = self.param("shift", np.uint8, (1, entries))
        if multiplier.nbytes != 2 * shift.nbytes:
            raise self.refuse("multiplier and shift differ in length")
        found: npt.NDArray[np.uint8] = self.integers("shift", np.uint8).astype(np.uint8)
        if found.min() < 1 or found.max() > 47:
            raise self.refuse(f"shifts from {found.min()} to {found.max()}", "1 to 47 are defined")
        return multiplier, shift, int(shift.nbytes > 1)

    def bias(self, out: int) -> Pointer:
        """int32 [out]; a single entry is repeated."""
        array = self.integers("bias", np.int32)
        if array.size not in (1, out):
            raise self.refuse(f"bias has {array.size} entries", f"{out} are needed")
        if array.size == out:
            return self.constants.pointer(self.node.params["bias"], array)
        return self.constants.pointer(f"{self.node.params['bias']}[{out}]", np.repeat(array, out))

    def weight(self) -> Pointer:
        """The int8 weight: a constant, or the second input where a `q.decode` node makes it."""
        name = self.node.params.get("weight")
        if name is None:
            return self.input(1)
        stored = self.graph.weights[name]
        if isinstance(stored, Integer):
            return self.constants.pointer(name, self.integers("weight", np.int8))
        whole = stored.integers()
        if whole is None:
            raise self.refuse(f"the weight is {stored.label}", "integer weights are needed")
        return self.constants.pointer(f"{name}.int8", whole.values)

    def weight_shape(self) -> tuple[int, ...]:
        name = self.node.params.get("weight")
        return self.value(1).shape if name is None else self.graph.weights[name].shape

    def call(self, kernel: str, args: Mapping[str, int], *pointers: Pointer | None) -> Call:
        """A call of `smg_<kernel>`; the last pointer is where it writes."""
        listed = tuple((key, int(value)) for key, value in args.items())
        return Call(self.node.name, f"smg_{kernel}", listed, pointers, self.output())


def pointers_of(graph: Graph, plan: MemoryPlan, constants: Constants) -> dict[str, Pointer]:
    """Where the values of a planned graph are, and the working memory of its scans."""
    return {
        name: stored_constant(graph, graph.nodes[place.index], constants)
        if place.where == "constant"
        else Pointer(
            place.where, place.index, place.offset, plan.scratch.get(name) or graph.values[name].nbytes
        )
        for name, place in plan.places.items()
    }


def stored_constant(graph: Graph, node: Node, constants: Constants) -> Pointer:
    """Where the tensor of a `q.constant` node is stored."""
    weight = graph.weights[node.params["value"]]
    dtype = graph.values[node.output].dtype
    if not isinstance(weight, Integer) or weight.dtype != dtype:
        raise Unsupported(node.name, f"the constant is {weight.label}", f"{dtype} integers are needed")
    return constants.pointer(node.params["value"], weight.array)


def grid_of(value: Value) -> Grid:
    assert value.grid is not None, "checked by check_schedulable"
    return value.grid
