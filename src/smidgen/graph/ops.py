"""The operator table: roles of weights, attributes, and how shapes follow.

Layout is channels last: an image is [H, W, C], a sequence [T, C], the weight of a convolution
[O, kH, kW, I/groups] or [O, k, I/groups]. Spatial attributes are tuples with one entry an axis, `padding`
pairs (before, after).

Integer operators (`q.*`) work on int8 values whose zero points are in the values' grids, and end in
`saturate(requantize(acc) + zero_out, lo, hi)`; see docs/NUMERICS.md for each rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smidgen.formats.packing import word_count
from smidgen.graph.activations import ACTIVATION_FUNCTIONS
from smidgen.graph.overwrite import Overwrite

ACTIVATIONS = tuple(ACTIVATION_FUNCTIONS)

Shape = tuple[int, ...]
Infer = Callable[[Mapping[str, Any], Sequence[Shape], Mapping[str, Shape]], tuple[Shape, ...]]


@dataclass(frozen=True)
class Op:
    """`infer`: the shapes of the outputs (None: a body tells them, see graph/scan.py).

    `params`: required weight roles; `optional`: allowed ones; `attrs`: required attributes.

    `elementwise`: output element i depends on element i of the first input alone, so the planner may
    compute in place when shapes and element sizes agree. `alias`: pure reinterpretation of the bytes.
    """

    infer: Infer | None
    params: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    attrs: tuple[str, ...] = ()
    elementwise: bool = False
    alias: bool = False


def window_out(size: int, kernel: int, stride: int, pad: Sequence[int], dilation: int = 1) -> int:
    """Output length of a sliding window along one axis."""
    span = size + pad[0] + pad[1] - dilation * (kernel - 1) - 1
    if span < 0 or stride < 1:
        raise ValueError(
            f"a window of {dilation * (kernel - 1) + 1} does not fit into {size} with padding {tuple(pad)}"
        )
    return span // stride + 1


def _same(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return (inputs[0],)


def _broadcast(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return (np.broadcast_shapes(*inputs),)


def _linear(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    out, features = params["weight"] if "weight" in params else inputs[1]
    if inputs[0][-1] != features:
        raise ValueError(f"the weight {out}x{features} needs {features} features on the last axis")
    _check_vectors(params, out)
    return ((*inputs[0][:-1], out),)


def _conv(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    *space, channels = inputs[0]
    out, *kernel, per_group = params["weight"] if "weight" in params else inputs[1]
    groups = attrs["groups"]
    if len(kernel) != len(space):
        raise ValueError(f"a kernel with {len(kernel)} spatial axes needs an input with as many")
    if per_group * groups != channels or out % groups:
        raise ValueError(
            f"a weight for {per_group} x {groups} groups -> {out} does not fit {channels} channels"
        )
    _check_vectors(params, out)
    sizes = zip(space, kernel, attrs["stride"], attrs["padding"], attrs["dilation"], strict=True)
    return ((*(window_out(n, k, s, p, d) for n, k, s, p, d in sizes), out),)


def _check_vectors(params: Mapping[str, Shape], out: int) -> None:
    for role, shape in params.items():
        if role != "weight" and shape not in ((out,), (1,)):
            raise ValueError(f"{role} has shape {list(shape)}, not [{out}]")


def _pool(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    *space, channels = inputs[0]
    sizes = zip(space, attrs["kernel"], attrs["stride"], attrs["padding"], strict=True)
    return ((*(window_out(n, k, s, p) for n, k, s, p in sizes), channels),)


def _channels(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    for role, shape in params.items():
        if shape != (inputs[0][-1],):
            raise ValueError(f"{role} has shape {list(shape)}, not [{inputs[0][-1]}]")
    return (inputs[0],)


def _mean(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    axes = attrs["axes"]
    if any(not 0 <= a < len(inputs[0]) for a in axes):
        raise ValueError(f"axes {axes} are not all axes of the input")
    if attrs["keepdims"]:
        return (tuple(1 if i in axes else n for i, n in enumerate(inputs[0])),)
    return (tuple(n for i, n in enumerate(inputs[0]) if i not in axes),)


def _concat(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    axis = attrs["axis"]
    rest = {tuple(n for i, n in enumerate(shape) if i != axis) for shape in inputs}
    if len(rest) != 1 or not 0 <= axis < len(inputs[0]):
        raise ValueError(f"all axes but {axis} must agree")
    joined = sum(shape[axis] for shape in inputs)
    return (tuple(joined if i == axis else n for i, n in enumerate(inputs[0])),)


def _reshape(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """`shape` may have one -1, so that it survives the removal of channels."""
    shape, size = attrs["shape"], math.prod(inputs[0])
    known = math.prod(n for n in shape if n != -1)
    if -1 in shape:
        shape = tuple(size // max(known, 1) if n == -1 else n for n in shape)
    if math.prod(shape) != size:
        raise ValueError(f"{size} elements do not fill {list(shape)}")
    return (tuple(shape),)


def _transpose(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    if sorted(attrs["perm"]) != list(range(len(inputs[0]))):
        raise ValueError(f"{attrs['perm']} is not a permutation of the axes")
    return (tuple(inputs[0][axis] for axis in attrs["perm"]),)


def _pad(attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]) -> tuple[Shape, ...]:
    """`pads`: (before, after) for every axis."""
    if len(attrs["pads"]) != len(inputs[0]) or any(n < 0 for pair in attrs["pads"] for n in pair):
        raise ValueError(f"pads {attrs['pads']} must be one non-negative pair an axis")
    return (tuple(n + a + b for n, (a, b) in zip(inputs[0], attrs["pads"], strict=True)),)


def _island(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return tuple(tuple(shape) for shape in attrs["shapes"])


def _normalize(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """(x - mean) / sqrt(variance + epsilon) over `axes`, then * `gamma` + `beta`, where given, by channel.

    Without `centered`: x / sqrt(mean of squares + epsilon).
    """
    _mean({**attrs, "keepdims": True}, inputs, params)
    _channels_or_one(params, inputs[0][-1])
    return (inputs[0],)


def _softmax(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """`mask`, where given, holds 1 for the entries that count and 0 for those that get weight 0."""
    if "mask" in params and np.broadcast_shapes(inputs[0], params["mask"]) != inputs[0]:
        raise ValueError(f"the mask {list(params['mask'])} does not broadcast to the input")
    return (inputs[0],)


def _constant(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """The same tensor for every sample."""
    return (params["value"],)


def _slice(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """Elements start, start + step, … before stop of one axis; 0 <= start < stop <= size, step >= 1."""
    axis, start, stop, step = (attrs[key] for key in ("axis", "start", "stop", "step"))
    shape = inputs[0]
    if not 0 <= axis < len(shape) or not 0 <= start < stop <= shape[axis] or step < 1:
        raise ValueError(f"[{start}:{stop}:{step}] of axis {axis} does not lie inside")
    kept = len(range(start, stop, step))
    return (tuple(kept if i == axis else n for i, n in enumerate(shape)),)


def _embedding(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return ((*inputs[0], params["weight"][1]),)


def _matmul(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """`scale` * [..., M, K] x [..., K, N] -> [..., M, N]; leading axes broadcast."""
    a, b = inputs
    if min(len(a), len(b)) < 2 or a[-1] != b[-2]:
        raise ValueError("the last axis of the first input must be as long as the last but one of the second")
    return ((*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]),)


def _spread(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """`steps`: for every axis, how far apart neighbours come to lie; zeros fill the gaps."""
    steps = attrs["steps"]
    if len(steps) != len(inputs[0]) or any(step < 1 for step in steps):
        raise ValueError(f"steps {steps} must be one of at least 1 an axis")
    return (tuple((n - 1) * step + 1 for n, step in zip(inputs[0], steps, strict=True)),)


def _gather(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """Positions `indices` (integers [count] from 0 on) of one axis, in their order; any may repeat."""
    axis, shape = attrs["axis"], inputs[0]
    if not 0 <= axis < len(shape) or len(params["indices"]) != 1:
        raise ValueError(f"indices {list(params['indices'])} of axis {axis}")
    return ((*shape[:axis], *params["indices"], *shape[axis + 1 :]),)


def _overwrite(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """Lanes of few bits along the last axis: see graph/overwrite.py. `scale`: of its grid, a fine step."""
    Overwrite.of(attrs)
    if not inputs[0] or not attrs.get("scale", 1.0) > 0:
        raise ValueError("overwriting needs channels and a scale above 0")
    return (inputs[0],)


def _decode(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return (params["weight"],)


_SLICE = ("axis", "start", "stop", "step")


def _trees(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """See graph/trees.py."""
    if len(inputs[0]) != 1:
        raise ValueError("trees compare the features of a vector")
    (splits,), (trees, _), (_, width), (outputs,) = (params[r] for r in ("feature", "tree", "leaf", "bias"))
    expected = {"threshold": (splits,), "children": (splits, 2), "tree": (trees, 3)}
    for role, shape in expected.items():
        if params[role] != shape:
            raise ValueError(f"{role} has shape {list(params[role])}, not {list(shape)}")
    if trees < 1 or not 1 <= width <= outputs:
        raise ValueError(f"{trees} trees with leaves of {width} values for {outputs} outputs")
    return ((outputs,),)


def _bits(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    """[..., C] -> words of 32 channels. See docs/NUMERICS.md."""
    _channels_or_one(params, inputs[0][-1])
    return ((*inputs[0][:-1], word_count(inputs[0][-1])),)


def _channels_or_one(params: Mapping[str, Shape], channels: int) -> None:
    if problem := [role for role, shape in params.items() if shape not in ((channels,), (1,))]:
        raise ValueError(f"{problem[0]} has shape {list(params[problem[0]])}, not [{channels}]")


def _unpacked(inputs: Sequence[Shape], params: Mapping[str, Shape]) -> list[Shape]:
    """The shape of packed inputs before packing, as the weight tells it."""
    channels = params["weight"][-1]
    if inputs[0][-1] != word_count(channels):
        raise ValueError(f"{channels} channels take {word_count(channels)} words, not {inputs[0][-1]}")
    return [(*inputs[0][:-1], channels)]


def _binary_linear(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return _linear(attrs, _unpacked(inputs, params), params)


def _binary_conv(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    if attrs["groups"] != 1:
        raise ValueError("packed channels have no groups")
    return _conv(attrs, _unpacked(inputs, params), params)


def _of_planes(infer: Infer) -> Infer:
    """`infer` on the shape that the planes of an input have together."""

    def shapes(
        attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
    ) -> tuple[Shape, ...]:
        return infer(attrs, [inputs[0][1:]], params)

    return shapes


def _planes(infer: Infer) -> Infer:
    """The shape that `infer` finds, in planes for the bits that numbers from `lo` to `hi` take."""

    def shapes(
        attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
    ) -> tuple[Shape, ...]:
        ((*outer, channels),) = infer(attrs, inputs, params)
        return (((attrs["hi"] - attrs["lo"]).bit_length(), *outer, word_count(channels)),)

    return shapes


def _planes_pool(
    attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
) -> tuple[Shape, ...]:
    return ((inputs[0][0], *_pool(attrs, [inputs[0][1:]], params)[0]),)


def _packed(infer: Infer) -> Infer:
    """The shape that `infer` finds, with its channels packed."""

    def shapes(
        attrs: Mapping[str, Any], inputs: Sequence[Shape], params: Mapping[str, Shape]
    ) -> tuple[Shape, ...]:
        ((*outer, channels),) = infer(attrs, inputs, params)
        return ((*outer, word_count(channels)),)

    return shapes


_CONV = ("stride", "padding", "dilation", "groups")
_POOL = ("kernel", "stride", "padding")
_OVERWRITE = ("bits", "fraction", "reach", "tile")
_REQUANTIZE = ("multiplier", "shift")
_BOUNDS = ("lo", "hi")
_TREES = ("feature", "threshold", "children", "tree", "leaf", "bias")

OPS: Mapping[str, Op] = {
    # Real numbers
    "linear": Op(_linear, ("weight",), ("bias",)),
    "conv": Op(_conv, ("weight",), ("bias",), _CONV),
    "batch_norm": Op(_channels, ("gamma", "beta", "mean", "variance"), attrs=("epsilon",)),
    "shift_norm": Op(_channels, ("mean", "variance"), attrs=("epsilon", "extra_scale")),
    **{name: Op(_same, elementwise=True) for name in ACTIVATION_FUNCTIONS},
    "softmax": Op(_softmax, optional=("mask",)),
    "normalize": Op(_normalize, (), ("gamma", "beta"), ("axes", "epsilon", "centered")),
    "constant": Op(_constant, ("value",)),
    "max_pool": Op(_pool, attrs=_POOL),
    "avg_pool": Op(_pool, attrs=(*_POOL, "count_padding")),
    "mean": Op(_mean, attrs=("axes", "keepdims")),
    "reduce_max": Op(_mean, attrs=("axes", "keepdims")),
    "add": Op(_broadcast),
    "sub": Op(_broadcast),
    "mul": Op(_broadcast),
    "matmul": Op(_matmul, attrs=("scale",)),
    "add_constant": Op(_channels, ("constant",), elementwise=True),
    "mul_constant": Op(_channels, ("constant",), elementwise=True),
    "concat": Op(_concat, attrs=("axis",)),
    "reshape": Op(_reshape, attrs=("shape",), alias=True),
    "transpose": Op(_transpose, attrs=("perm",)),
    "pad": Op(_pad, attrs=("pads", "value")),
    "slice": Op(_slice, attrs=_SLICE),
    "spread": Op(_spread, attrs=("steps",)),
    "gather": Op(_gather, ("indices",), attrs=("axis",)),
    # The identity on real numbers; in integers, what few-bit lanes hold.
    "overwrite": Op(_overwrite, attrs=("scale", *_OVERWRITE)),
    # Whole numbers (as real ones) 0..rows-1 -> rows of the weight [rows, features].
    "embedding": Op(_embedding, ("weight",)),
    # A body over the steps of a sequence: see graph/scan.py.
    "scan": Op(None, attrs=("body", "kind", "reverse")),
    "trees": Op(_trees, _TREES),
    # Only while a model is loaded (load/grids.py): the real value, which the model rounds to this grid.
    "on_grid": Op(_same, attrs=("scale", "zero", "bits"), elementwise=True),
    # A computation that could not be captured: runs in float through its source runtime.
    "island": Op(_island, attrs=("kind", "source", "payload", "shapes", "reason", "remedy")),
    # Between real numbers and integers
    "quantize": Op(_same),
    "dequantize": Op(_same),
    # Integers. The weight of linear and conv may instead be the second input (made by q.decode).
    "q.decode": Op(_decode, ("weight",)),
    "q.linear": Op(_linear, ("bias", *_REQUANTIZE), ("weight",), _BOUNDS),
    "q.conv": Op(_conv, ("bias", *_REQUANTIZE), ("weight",), (*_CONV, *_BOUNDS)),
    # On packed bits, 32 channels a word. `_bits`: so is what they make.
    "q.binarize": Op(_bits, ("threshold", "flip")),
    "q.binary_linear": Op(_binary_linear, ("weight", "bias", *_REQUANTIZE), attrs=_BOUNDS),
    "q.binary_conv": Op(_binary_conv, ("weight", "bias", *_REQUANTIZE), attrs=(*_CONV, *_BOUNDS)),
    "q.binary_linear_bits": Op(_packed(_binary_linear), ("weight", "threshold")),
    "q.binary_conv_bits": Op(_packed(_binary_conv), ("weight", "threshold"), attrs=_CONV),
    "q.binary_max_pool": Op(_pool, attrs=_POOL),
    # On numbers of a few bits, a plane of packed bits for each. `planes`: so is what they make.
    "q.planes": Op(_planes(_same), attrs=_BOUNDS),
    "q.serial_linear": Op(_of_planes(_binary_linear), ("weight", "bias", *_REQUANTIZE), attrs=_BOUNDS),
    "q.serial_conv": Op(_of_planes(_binary_conv), ("weight", "bias", *_REQUANTIZE), attrs=(*_CONV, *_BOUNDS)),
    "q.serial_linear_planes": Op(
        _planes(_of_planes(_binary_linear)), ("weight", "bias", *_REQUANTIZE), attrs=_BOUNDS
    ),
    "q.serial_conv_planes": Op(
        _planes(_of_planes(_binary_conv)), ("weight", "bias", *_REQUANTIZE), attrs=(*_CONV, *_BOUNDS)
    ),
    "q.planes_max_pool": Op(_planes_pool, attrs=_POOL),
    "q.max_pool": Op(_pool, attrs=_POOL),
    "q.avg_pool": Op(_pool, _REQUANTIZE, attrs=(*_POOL, "count_padding", *_BOUNDS)),
    "q.mean": Op(_mean, _REQUANTIZE, attrs=("axes", "keepdims", *_BOUNDS)),
    "q.add": Op(_broadcast, ("multiplier",), attrs=("shift", *_BOUNDS)),
    "q.mul": Op(_broadcast, _REQUANTIZE, attrs=_BOUNDS),
    "q.matmul": Op(_matmul, _REQUANTIZE, attrs=_BOUNDS),
    "q.requantize": Op(_same, _REQUANTIZE, attrs=_BOUNDS, elementwise=True),
    "q.table": Op(_same, ("table",), elementwise=True),
    "q.reduce_max": Op(_mean, attrs=("axes", "keepdims")),
    "q.constant": Op(_constant, ("value",)),
    "q.softmax": Op(_softmax, ("table",), ("mask", *_REQUANTIZE)),  # a ratio where x has 16 bits
    "q.normalize": Op(
        _normalize,
        ("multiplier", "bias"),
        attrs=("axes", "centered", "root_shift", "epsilon", "epsilon_shift", "shift", *_BOUNDS),
    ),
    "q.concat": Op(_concat, attrs=("axis",)),
    "q.reshape": Op(_reshape, attrs=("shape",), alias=True),
    "q.transpose": Op(_transpose, attrs=("perm",)),
    "q.pad": Op(_pad, attrs=("pads",)),
    "q.slice": Op(_slice, attrs=_SLICE),
    "q.spread": Op(_spread, attrs=("steps",)),
    "q.gather": Op(_gather, ("indices",), attrs=("axis",)),
    "q.overwrite": Op(_overwrite, attrs=_OVERWRITE),
    "q.embedding": Op(_embedding, ("weight", *_REQUANTIZE), attrs=_BOUNDS),
    "q.scan": Op(None, attrs=("body", "kind", "reverse")),
    "q.trees": Op(_trees, (*_TREES, *_REQUANTIZE), attrs=_BOUNDS),
}
