"""Which LiteRT operator computes each integer node, and what stands against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from smidgen.emit.litert import BATCH, LitertWriter
from smidgen.emit.onnx_model import stored_weight
from smidgen.emit.onnx_qdq import known_function
from smidgen.emit.onnx_site import grid_of
from smidgen.formats import Grid
from smidgen.graph import Graph, Node
from smidgen.numerics import Array
from smidgen.run.reference import executable

INT8 = (-128, 127)
Rule = Callable[[LitertWriter, Node], None]
FUNCTIONS = {"sigmoid": ("LOGISTIC", Grid(1 / 256, -128)), "tanh": ("TANH", Grid(1 / 128, 0))}
FREE = {"hardswish": "HARD_SWISH"}  # functions for any grid


def write_node(w: LitertWriter, node: Node) -> None:
    """Append a node that `problems_of` has nothing against."""
    RULES[node.op](w, node)


def problems_of(graph: Graph) -> list[str]:
    """Everything that LiteRT can't compute in int8, one `node: reason` each."""
    wide = [name for name, value in graph.values.items() if value.batched and value.dtype != "int8"]
    problems = [f"{name}: {graph.values[name].dtype} values" for name in wide]
    return problems + [f"{node.name}: {why}" for node in graph.nodes if (why := _problem(graph, node))]


def _problem(graph: Graph, node: Node) -> str:
    if node.op not in RULES:
        return f"no int8 operator for {node.op}"
    if node.op in ("q.conv", "q.linear") and stored_weight(graph, node) is None:
        return "its weight is computed"
    if node.op == "q.table" and _function(graph, node) not in (*FUNCTIONS, *FREE):
        return "no operator for its table"
    if node.op == "q.softmax" and "mask" in node.params:
        return "no masked softmax"
    if node.op == "q.avg_pool" and any(map(any, node.attrs["padding"])) and not _is_same(graph, node):
        return "no average pool with this padding"
    if _bounds(graph, node) not in _activations(grid_of(graph.values[node.output])):
        return "no activation with these bounds"
    return ""


# Activations


def _bounds(graph: Graph, node: Node) -> tuple[int, int]:
    return node.attrs.get("lo", INT8[0]), node.attrs.get("hi", INT8[1])


def _activations(grid: Grid) -> dict[tuple[int, int], str]:
    """Names by bounds. Saturation at the lowest byte needs none."""
    six = min(round(6 / grid.scale) + grid.zero, INT8[1])
    zero = max(grid.zero, INT8[0])
    return {(zero, six): "RELU6", (zero, INT8[1]): "RELU", INT8: "NONE"}


def _activation(w: LitertWriter, node: Node) -> int:
    name = _activations(grid_of(w.graph.values[node.output]))[_bounds(w.graph, node)]
    return int(getattr(w.schema.ActivationFunctionType, name))


# Windows: one spatial axis becomes two


def _square(spatial: Sequence[int], fill: int) -> tuple[int, int]:
    return (spatial[0], spatial[1]) if len(spatial) == 2 else (spatial[0], fill)


def _is_same(graph: Graph, node: Node) -> bool:
    """Whether the padding is what LiteRT calls SAME: its operators then need no padded copy."""
    attrs, sizes = node.attrs, graph.values[node.inputs[0]].shape
    stored = stored_weight(graph, node) if node.op == "q.conv" else None
    kernel = graph.weights[stored].shape[1:-1] if stored else attrs["kernel"]
    dilation = attrs.get("dilation", (1,) * len(kernel))
    window = zip(sizes, kernel, attrs["stride"], dilation, attrs["padding"], strict=False)
    return any(map(any, attrs["padding"])) and all(
        pair == (total // 2, total - total // 2)
        for size, taps, stride, step, pair in window
        for total in [max((-(-size // stride) - 1) * stride + (taps - 1) * step + 1 - size, 0)]
    )


def _as_image(w: LitertWriter, name: str) -> int:
    """The tensor of a value as [1, H, W, C]."""
    value = w.graph.values[name]
    if len(value.shape) == 3:
        return w.value(name)
    length, channels = value.shape
    made = w.tensor(f"{name}.image", (BATCH, length, 1, channels), grid_of(value))
    _reshape_to(w, w.value(name), made, (-1, length, 1, channels))
    return made


def _image_output(w: LitertWriter, node: Node) -> tuple[int, Callable[[], None]]:
    """A tensor [1, H, W, C] for the output, and what makes the output of it."""
    value = w.graph.values[node.output]
    if len(value.shape) == 3:
        return w.value(node.output), lambda: None
    length, channels = value.shape
    made = w.tensor(f"{node.output}.image", (BATCH, length, 1, channels), grid_of(value))
    return made, lambda: _reshape_to(w, made, w.value(node.output), (-1, *value.shape))


def _padded(w: LitertWriter, node: Node, x: int, lowest: bool) -> int:
    """`x` inside its padding: zeros, or under a maximum the lowest byte."""
    pads = [*node.attrs["padding"], *[(0, 0)] * (2 - len(node.attrs["padding"]))]
    if not any(map(any, pads)):
        return x
    value = w.graph.values[node.inputs[0]]
    height, width = _square(value.shape[:-1], 1)
    grown = (height + sum(pads[0]), width + sum(pads[1]), value.shape[-1])
    made = w.tensor(f"{node.name}.padded", (BATCH, *grown), grid_of(value))
    table = w.constant(f"{node.name}.pads", np.array([(0, 0), *pads, (0, 0)], np.int32))
    if lowest:
        grid = grid_of(value)
        lowest_byte, scales = np.array([INT8[0]], np.int8), np.array([grid.scale])
        fill = w.constant(f"{node.name}.fill", lowest_byte, scales, zero=grid.zero)
        w.op("PADV2", [x, table, fill], made, "PadV2Options")
    else:
        w.op("PAD", [x, table], made, "PadOptions")
    return made


def _scales(w: LitertWriter, node: Node) -> tuple[Array, Array, Array]:
    """(int8 weight, scale of each output channel, int32 bias): the ratios are those of the multipliers."""
    graph = w.graph
    name = stored_weight(graph, node)
    assert name is not None, "problems_of() lists products without a stored weight"
    whole, bias, multiplier, shift = (
        executable(graph.weights[weight])
        for weight in (name, *(node.params[role] for role in ("bias", "multiplier", "shift")))
    )
    s_x, s_y = (grid_of(graph.values[port]).scale for port in (node.inputs[0], node.output))
    ratio = np.ldexp(multiplier.astype(np.float64), -shift.astype(np.int64)) * s_y / s_x
    scale = np.broadcast_to(np.maximum(ratio, np.finfo(np.float32).tiny), (len(whole),))
    return whole.astype(np.int8), scale, np.broadcast_to(bias, scale.shape).astype(np.int32)


def _conv(w: LitertWriter, node: Node) -> None:
    whole, scale, bias = _scales(w, node)
    attrs, s_x = node.attrs, grid_of(w.graph.values[node.inputs[0]]).scale
    if whole.ndim == 3:
        whole = whole[:, :, None]
    channels = w.graph.values[node.inputs[0]].shape[-1]
    depthwise = attrs["groups"] == channels and channels > 1
    same, x = _is_same(w.graph, node), _as_image(w, node.inputs[0])
    x = x if same else _padded(w, node, x, lowest=False)
    out, finish = _image_output(w, node)
    if depthwise:
        whole = np.moveaxis(whole[..., 0], 0, -1)[None]
    kernel = w.constant(f"{node.name}.weight", whole, scale, axis=3 if depthwise else 0)
    stride, dilation = _square(attrs["stride"], 1), _square(attrs["dilation"], 1)
    settings = {
        "padding": w.schema.Padding.SAME if same else w.schema.Padding.VALID,
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
        "fusedActivationFunction": _activation(w, node),
    }
    if depthwise:
        settings["depthMultiplier"] = whole.shape[-1] // channels
    operator = ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions") if depthwise else ("CONV_2D", "Conv2DOptions")
    biases = w.constant(f"{node.name}.bias", bias, scale * s_x)
    w.op(operator[0], [x, kernel, biases], out, operator[1], **settings)
    finish()


def _linear(w: LitertWriter, node: Node) -> None:
    whole, scale, bias = _scales(w, node)
    s_x, rank = grid_of(w.graph.values[node.inputs[0]]).scale, len(w.graph.values[node.inputs[0]].shape)
    operands = [
        w.value(node.inputs[0]),
        w.constant(f"{node.name}.weight", whole, scale),
        w.constant(f"{node.name}.bias", bias, scale * s_x),
    ]
    activation = _activation(w, node)
    options = {"fusedActivationFunction": activation, "keepNumDims": rank > 1}
    w.op("FULLY_CONNECTED", operands, w.value(node.output), "FullyConnectedOptions", **options)


def _pool(kind: str) -> Rule:
    def write(w: LitertWriter, node: Node) -> None:
        x, attrs = _as_image(w, node.inputs[0]), node.attrs
        same = _is_same(w.graph, node)
        x = x if same else _padded(w, node, x, lowest=True)
        out, finish = _image_output(w, node)
        kernel, stride = _square(attrs["kernel"], 1), _square(attrs["stride"], 1)
        given, made = (grid_of(w.graph.values[name]) for name in (node.inputs[0], node.output))
        shape = (
            BATCH,
            *_square(w.graph.values[node.output].shape[:-1], 1),
            w.graph.values[node.output].shape[-1],
        )
        target = out if given == made else w.tensor(f"{node.name}.pooled", shape, given)
        w.op(
            kind,
            [x],
            target,
            "Pool2DOptions",
            padding=w.schema.Padding.SAME if same else w.schema.Padding.VALID,
            strideH=stride[0],
            strideW=stride[1],
            filterHeight=kernel[0],
            filterWidth=kernel[1],
        )
        if target != out:
            w.op("QUANTIZE", [target], out, "QuantizeOptions")
        finish()

    return write


def _mean(w: LitertWriter, node: Node) -> None:
    axes = w.constant(f"{node.name}.axes", np.array([axis + 1 for axis in node.attrs["axes"]], np.int32))
    operands = [w.value(node.inputs[0]), axes]
    w.op("MEAN", operands, w.value(node.output), "ReducerOptions", keepDims=bool(node.attrs["keepdims"]))


def _pair(kind: str, options: str) -> Rule:
    def write(w: LitertWriter, node: Node) -> None:
        chosen = (kind, options)
        if node.op == "q.add" and executable(w.graph.weights[node.params["multiplier"]])[1] < 0:
            chosen = ("SUB", "SubOptions")
        operands, activation = [w.value(name) for name in node.inputs], _activation(w, node)
        w.op(chosen[0], operands, w.value(node.output), chosen[1], fusedActivationFunction=activation)

    return write


def _unary(kind: str, options: str) -> Rule:
    return lambda w, node: w.op(kind, [w.value(node.inputs[0])], w.value(node.output), options)


def _softmax(w: LitertWriter, node: Node) -> None:
    w.op("SOFTMAX", [w.value(node.inputs[0])], w.value(node.output), "SoftmaxOptions", beta=1.0)


def _reshape_to(w: LitertWriter, x: int, out: int, shape: Sequence[int]) -> None:
    sizes = w.constant("shape", np.array(shape, np.int32))
    w.op("RESHAPE", [x, sizes], out, "ReshapeOptions", newShape=list(shape))


def _reshape(w: LitertWriter, node: Node) -> None:
    out = w.value(node.output)
    _reshape_to(w, w.value(node.inputs[0]), out, (-1, *w.graph.values[node.output].shape))


def _transpose(w: LitertWriter, node: Node) -> None:
    order = np.array([0, *(axis + 1 for axis in node.attrs["perm"])], np.int32)
    operands = [w.value(node.inputs[0]), w.constant(f"{node.name}.order", order)]
    w.op("TRANSPOSE", operands, w.value(node.output), "TransposeOptions")


def _concat(w: LitertWriter, node: Node) -> None:
    operands = [w.value(name) for name in node.inputs]
    axis = node.attrs["axis"] + 1
    w.op("CONCATENATION", operands, w.value(node.output), "ConcatenationOptions", axis=axis)


def _pad(w: LitertWriter, node: Node) -> None:
    pads = w.constant(f"{node.name}.pads", np.array([(0, 0), *node.attrs["pads"]], np.int32))
    w.op("PAD", [w.value(node.inputs[0]), pads], w.value(node.output), "PadOptions")


def _function(graph: Graph, node: Node) -> str | None:
    x, y = (grid_of(graph.values[name]) for name in (node.inputs[0], node.output))
    return known_function(executable(graph.weights[node.params["table"]]), x, y)


def _table(w: LitertWriter, node: Node) -> None:
    """LiteRT fixes the grid of some functions: then ours is made of theirs."""
    name, out = str(_function(w.graph, node)), w.value(node.output)
    if name in FREE:
        w.op(FREE[name], [w.value(node.inputs[0])], out, "HardSwishOptions")
        return
    kind, grid = FUNCTIONS[name]
    value = w.graph.values[node.output]
    target = out if grid_of(value) == grid else w.tensor(f"{node.name}.own", (BATCH, *value.shape), grid)
    w.op(kind, [w.value(node.inputs[0])], target)
    if target != out:
        w.op("QUANTIZE", [target], out, "QuantizeOptions")


def _decode(w: LitertWriter, node: Node) -> None:
    """Its consumers hold the integers."""


RULES: Mapping[str, Rule] = {
    "q.conv": _conv,
    "q.linear": _linear,
    "q.max_pool": _pool("MAX_POOL_2D"),
    "q.avg_pool": _pool("AVERAGE_POOL_2D"),
    "q.mean": _mean,
    "q.add": _pair("ADD", "AddOptions"),
    "q.mul": _pair("MUL", "MulOptions"),
    "q.requantize": _unary("QUANTIZE", "QuantizeOptions"),
    "q.softmax": _softmax,
    "q.reshape": _reshape,
    "q.transpose": _transpose,
    "q.concat": _concat,
    "q.pad": _pad,
    "q.table": _table,
    "q.decode": _decode,
}
