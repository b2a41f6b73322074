"""Removes transposes from an imported graph, so that only those at the user's own boundary remain.

One forward sweep rebuilds the graph. Each value of the old graph is known as a *view* of a value of the new
one: `View` (base transposed by perm) or `Flat` (that, flattened). Operators that work on any layout act on
the base and keep the view, so transposes sink until they cancel, or until an operator that needs the exact
layout (a convolution, an island, an output) has them carried out. A linear layer absorbs a `Flat` by
permuting its weight's columns. Every rewrite preserves values exactly; none adds arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Dense, Format, Imported
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.graph.names import unused
from smidgen.graph.ops import ACTIVATIONS
from smidgen.load.reshape_groups import regroup

Perm = tuple[int, ...]
Shape = tuple[int, ...]
LAST_AXIS = ("linear", "softmax", "batch_norm", "add_constant", "mul_constant")


@dataclass(frozen=True)
class View:
    """Axis i of the value is axis perm[i] of `base`."""

    base: str
    perm: Perm


@dataclass(frozen=True)
class Flat:
    """`base`, 1-D, is the flattening of a tensor of `shape`; the value is that of its transpose by `perm`."""

    base: str
    shape: Shape
    perm: Perm

    def order(self) -> npt.NDArray[np.int64]:
        """value[i] = base[order[i]]."""
        return np.arange(math.prod(self.shape)).reshape(self.shape).transpose(self.perm).ravel()


def simplify(graph: Graph) -> Graph:
    """`graph` with as few transposes as its operators allow; same inputs, outputs and values."""
    return _Sweep(graph).run()


class _Sweep:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.new = GraphBuilder(graph.name)
        self.views: dict[str, View | Flat] = {}
        self._moved: dict[tuple[str, Perm], str] = {}
        self._shaped: dict[tuple[str, Shape], str] = {}
        self._unreshaped: dict[str, str] = {}
        self._constants: dict[str, Node] = {}
        self._names = {*graph.values, *(node.name for node in graph.nodes)}

        self._rules = {"mean": self._reduced, "reduce_max": self._reduced, "normalize": self._normalized}
        self._rules |= dict.fromkeys(("pad", "spread", "slice", "gather"), self._placed)

    def run(self) -> Graph:
        for name in self.graph.inputs:
            self.views[name] = self._plain(self.new.input(name, self.graph.values[name].shape))
        for node in self.graph.nodes:
            view = self._rewrite(node)
            if view is not None:
                self.views[node.output] = view
        return self.new.graph([self._at(name) for name in self.graph.outputs])

    def _rewrite(self, node: Node) -> View | Flat | None:
        """Emit what `node` needs and say where its output is; None where that is already recorded."""
        view = self.views[node.inputs[0]] if node.inputs else None
        if node.op == "transpose" and isinstance(view, View):
            return View(view.base, tuple(view.perm[axis] for axis in node.attrs["perm"]))
        if node.op == "reshape":
            return self._reshape(node)
        if node.op in (*ACTIVATIONS, "on_grid") and view is not None:
            return replace(view, base=self._emit(node, [view.base]))
        if node.op in LAST_AXIS and view is not None and "mask" not in node.params:
            return self._last_axis(node, view)
        if node.op in ("add", "sub", "mul", "concat"):
            return self._several(node)
        if node.op in self._rules and isinstance(view, View):
            return self._rules[node.op](node, view)
        outputs = self._append(replace(node, inputs=tuple(self._at(name) for name in node.inputs)))
        if node.op == "constant":
            self._constants[node.output] = node
        for old, new in zip(node.outputs, outputs, strict=True):
            self.views[old] = self._plain(new)
        return None

    # Rules

    def _reshape(self, node: Node) -> View | Flat:
        target = self.graph.values[node.output].shape
        view = self.views[node.inputs[0]]
        if isinstance(view, Flat):
            if target == tuple(view.shape[axis] for axis in view.perm):
                return View(self._reshaped(view.base, view.shape), view.perm)
            return self._plain(self._reshaped(self._at(node.inputs[0]), target))
        shape = self.new.shape(view.base)
        if is_reshape(view.perm, shape):
            return self._plain(self._reshaped(view.base, target))
        found = regroup(shape, view.perm, target)
        if found is None or (len(target) == 1 and not is_reshape(found[0], shape)):
            return Flat(self._reshaped(view.base, (math.prod(shape),)), shape, view.perm)
        move, grouped, after = found
        return View(self._reshaped(self._carried(view.base, move), grouped), after)

    def _last_axis(self, node: Node, view: View | Flat) -> View | Flat:
        """Operators along the last axis, with weights for its positions."""
        weights = {role: self.graph.weights[name].decode() for role, name in node.params.items()}
        uniform = node.op.endswith("_constant") and len(np.unique(weights["constant"])) == 1
        if uniform:
            size = self.new.shape(view.base)[-1]
            fill = np.full(size, weights["constant"].flat[0])
            return replace(view, base=self._emit(node, [view.base], {"constant": fill}))
        if isinstance(view, View) and view.perm[-1] == len(view.perm) - 1:
            return replace(view, base=self._emit(node, [view.base]))
        tied = any(len(self.graph.users(name)) > 1 for name in node.params.values())
        if isinstance(view, View) or tied:
            return self._plain(self._emit(node, [self._at(node.inputs[0])]))
        if node.op == "linear":
            weight = reordered(self.graph.weights[node.params["weight"]], view.order())
            return self._plain(self._emit(node, [view.base], {"weight": weight}))
        changed = {role: np.empty_like(vector) for role, vector in weights.items()}
        for role, vector in weights.items():
            changed[role][view.order()] = vector
        return replace(view, base=self._emit(node, [view.base], changed))

    def _several(self, node: Node) -> View | Flat:
        """Add, sub, mul and concat: bring all inputs into one common view."""
        views = [self.views[name] for name in node.inputs]
        first = views[0]
        alike = len({replace(view, base="") for view in views}) == 1
        if isinstance(first, Flat) and alike and node.op != "concat":
            return replace(first, base=self._emit(node, [v.base for v in views]))
        found = [v if isinstance(v, View) else self._plain(self._at(n)) for v, n in zip(views, node.inputs)]
        if len({len(view.perm) for view in found}) > 1:
            return self._plain(self._emit(node, [self._at(name) for name in node.inputs]))
        perm = min((v.perm for v in found), key=lambda p: (self._cost(found, p), p == identity(len(p))))
        bases = [self._under(view, perm) for view in found]
        attrs = {"axis": perm[node.attrs["axis"]]} if node.op == "concat" else {}
        return View(self._emit(replace(node, attrs={**node.attrs, **attrs}), bases), perm)

    def _normalized(self, node: Node, view: View) -> View:
        axes = tuple(sorted(view.perm[axis] for axis in node.attrs["axes"]))
        return View(self._emit(replace(node, attrs={**node.attrs, "axes": axes}), [view.base]), view.perm)

    def _placed(self, node: Node, view: View) -> View:
        """One axis is meant, or every axis has an entry."""
        attrs = dict(node.attrs)
        if "axis" in attrs:
            attrs["axis"] = view.perm[attrs["axis"]]
        for key in {"pads", "steps"} & set(attrs):
            attrs[key] = tuple(attrs[key][view.perm.index(axis)] for axis in range(len(view.perm)))
        return View(self._emit(replace(node, attrs=attrs), [view.base]), view.perm)

    def _reduced(self, node: Node, view: View) -> View:
        axes = tuple(sorted(view.perm[axis] for axis in node.attrs["axes"]))
        base = self._emit(replace(node, attrs={**node.attrs, "axes": axes}), [view.base])
        if node.attrs["keepdims"]:
            return View(base, view.perm)
        kept = [axis for axis in view.perm if axis not in axes]
        return View(base, tuple(sorted(kept).index(axis) for axis in kept))

    # Carrying views out

    def _at(self, name: str) -> str:
        """The new value that equals the old value `name` element by element."""
        view = self.views[name]
        if isinstance(view, Flat):
            shaped = View(self._reshaped(view.base, view.shape), view.perm)
            return self._reshaped(self._under(shaped, identity(len(view.perm))), (math.prod(view.shape),))
        return self._under(view, identity(len(view.perm)))

    def _under(self, view: View, perm: Perm) -> str:
        """The base that, transposed by `perm`, is the same value as `view`."""
        return self._carried(view.base, composed(view.perm, perm))

    def _carried(self, base: str, move: Perm) -> str:
        """`base` transposed by `move`: a node only where elements really move, once for the same move."""
        shape = self.new.shape(base)
        if is_reshape(move, shape):
            return self._reshaped(base, tuple(shape[axis] for axis in move))
        if (base, move) not in self._moved and base in self._constants:
            self._moved[base, move] = self._turned(base, move)
        if (base, move) not in self._moved:
            name = unused(self._names, f"{base}.transposed")
            self._moved[base, move] = self.new.op("transpose", [base], name=name, perm=move)
        return self._moved[base, move]

    def _turned(self, base: str, move: Perm) -> str:
        """A constant, transposed now."""
        node = self._constants[base]
        turned = self.graph.weights[node.params["value"]].decode().transpose(move)
        name = unused(self._names, base)
        return self.new.op("constant", [], {"value": turned}, name=name)

    def _cost(self, views: Sequence[View], perm: Perm) -> int:
        """Transposes to carry out before all `views` have `perm`."""
        moves = [(view.base, composed(view.perm, perm)) for view in views]
        return sum(
            not (is_reshape(move, self.new.shape(base)) or base in self._constants)
            and (base, move) not in self._moved
            for base, move in moves
        )

    def _reshaped(self, base: str, shape: Shape) -> str:
        origin = self._unreshaped.get(base, base)
        if self.new.shape(origin) == shape:
            return origin
        if (origin, shape) not in self._shaped:
            name = unused(self._names, f"{origin}.reshaped")
            self._shaped[origin, shape] = self.new.op("reshape", [origin], name=name, shape=flexible(shape))
            self._unreshaped[name] = origin
        return self._shaped[origin, shape]

    def _emit(
        self, node: Node, inputs: Sequence[str], changed: Mapping[str, npt.ArrayLike | Format] | None = None
    ) -> str:
        return self._append(replace(node, inputs=tuple(inputs)), changed)[0]

    def _append(
        self, node: Node, changed: Mapping[str, npt.ArrayLike | Format] | None = None
    ) -> tuple[str, ...]:
        """Append a node with its weights, some of them changed."""
        params = {}
        for role, name in node.params.items():
            kept = changed is None or role not in changed
            fmt = self.graph.weights[name] if kept or changed is None else changed[role]
            shared = len(self.graph.users(name)) > 1
            params[role] = self.new.weight(name if kept or not shared else unused(self._names, name), fmt)
        return self.new.append(replace(node, params=params))

    def _plain(self, name: str) -> View:
        return View(name, identity(len(self.new.shape(name))))


def reordered(fmt: Format, order: npt.NDArray[np.int64]) -> Format:
    """The weight [O, I] with its columns in other places: column j of the old one is order[j] of the new.

    Integers that another tool stored stay what they are, unless blocks of columns share a scale.
    """
    back = np.argsort(order)
    if isinstance(fmt, Affine):
        return replace(fmt, symbols=fmt.symbols[:, back])
    if isinstance(fmt, Imported) and fmt.scale.shape[1] == 1:
        return replace(fmt, symbols=fmt.symbols[:, back])
    return Dense(fmt.decode()[:, back])


def identity(rank: int) -> Perm:
    return tuple(range(rank))


def composed(perm: Perm, after: Perm) -> Perm:
    """The move with transpose(transpose(x, move), after) = transpose(x, perm)."""
    return tuple(perm[after.index(axis)] for axis in range(len(after)))


def is_reshape(perm: Perm, shape: Shape) -> bool:
    """A transpose that keeps the order of all axes longer than one moves no element."""
    order = [axis for axis in perm if shape[axis] != 1]
    return order == sorted(order)


def flexible(shape: Shape) -> Shape:
    """`shape` with -1 for its last axis longer than one, so that it survives the removal of channels."""
    long = [axis for axis, n in enumerate(shape) if n != 1] or [len(shape) - 1]
    return tuple(-1 if axis == long[-1] else n for axis, n in enumerate(shape))
