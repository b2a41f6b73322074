"""Overwriting in ONNX, bit for bit: all lanes at once, but for a Scan that counts which of them are taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from smidgen.emit.onnx_site import Site
from smidgen.emit.onnx_writer import OnnxWriter
from smidgen.graph.overwrite import Overwrite


def write_overwrite(w: OnnxWriter, site: Site) -> str:
    """See graph/overwrite.py: bytes are carried as codes 0..255 already."""
    lanes = _Lanes(w, site)
    q, outlier = lanes.steps, lanes.outlier
    plain = lanes.codes(lanes.op("Min", [q, lanes.number(lanes.rule.most)], "plain"), "plain")
    large = lanes.codes(lanes.op("Min", [q, lanes.number(lanes.rule.top)], "large"), "large")
    value = lanes.op("Where", [outlier, large, lanes.x], "value")
    whole = lanes.op("Equal", [lanes.x, lanes.codes(q, "whole")], "exact")
    fraction = lanes.op("Where", [whole, lanes.number(0), lanes.zero_within(1)], "fraction")
    borrowed = lanes.op("Where", [outlier, lanes.zero_within(lanes.rule.reach), fraction], "borrowed")
    takes = lanes.op("Greater", [_taken(lanes, borrowed), lanes.number(0)], "takes")
    return w.cast(lanes.op("Where", [takes, value, plain], "held"), np.uint8, site.out)


class _Lanes:
    """The codes of a node as int32, and names that begin with its output's."""

    def __init__(self, w: OnnxWriter, site: Site) -> None:
        self.w, self.site, self.rule = w, site, Overwrite.of(site.attrs)
        self.axis = len(site.inputs[0].shape)  # of the channels, behind the batch
        self.x = w.cast(site.names[0], np.int32, f"{site.out}.codes")
        raised = self.op("Add", [self.x, self.number(self.rule.half)], "raised")
        self.steps = self.op("Div", [raised, self.number(1 << self.rule.fraction)], "steps")
        self.outlier = self.op("Greater", [self.steps, self.number(self.rule.most)], "outlier")
        self.is_zero = self.op("Equal", [self.steps, self.number(0)], "zero")

    def op(self, kind: str, inputs: list[str], name: str, **attrs: Any) -> str:
        return self.w.op(kind, inputs, f"{self.site.out}.{name}", **attrs)

    def number(self, value: int) -> str:
        return self.w.constant(value, np.int32, "number")

    def codes(self, steps: str, name: str) -> str:
        return self.op("Mul", [steps, self.number(1 << self.rule.fraction)], f"{name}.codes")

    def zero_within(self, reach: int) -> str:
        """The distance of the nearest zero to the right, or 0; int32."""
        channels, found = self.site.inputs[0].shape[-1], self.number(0)
        lanes = np.arange(channels)
        for distance in range(min(reach, self.rule.tile - 1, channels - 1), 0, -1):
            index = self.w.constant(np.minimum(lanes + distance, channels - 1), np.int64, "lanes")
            shifted = self.op("Gather", [self.is_zero, index], "shifted", axis=self.axis)
            mask = self.w.constant(self.rule.within(channels, distance), np.bool_, "inside")
            reached = self.op("And", [shifted, mask], "reached")
            found = self.op("Where", [reached, self.number(distance), found], "distance")
        return found


def _taken(lanes: _Lanes, borrowed: str) -> str:
    """`borrowed` where a lane is free, else 0: a Scan over the lanes that counts down those taken."""
    import onnx

    w, kind = lanes.w, onnx.TensorProto.INT32
    shape = ["n", *lanes.site.inputs[0].shape[:-1]]
    body = w.inner()
    busy, wanted = body.unique("busy"), body.unique("wanted")
    free = body.op("Equal", [busy, lanes.number(0)], "free")
    takes = body.op("Where", [free, wanted, lanes.number(0)], "takes")
    left = body.op("Sub", [busy, lanes.number(1)], "left")
    after = body.op("Max", [left, takes], "after")
    graph = onnx.helper.make_graph(
        body.nodes,
        f"{lanes.site.out}.lanes",
        [onnx.helper.make_tensor_value_info(name, kind, shape) for name in (busy, wanted)],
        [onnx.helper.make_tensor_value_info(name, kind, shape) for name in (after, takes)],
    )
    full = w.op("Add", [borrowed, lanes.op("Sub", [lanes.x, lanes.x], "nothing")], f"{lanes.site.out}.wanted")
    first = lanes.op("Gather", [full, w.constant(0, np.int64, "index")], "first", axis=lanes.axis)
    start = lanes.op("Sub", [first, first], "start")
    end, taken = (w.unique(f"{lanes.site.out}.{name}") for name in ("end", "taken"))
    axes = {"scan_input_axes": [lanes.axis], "scan_output_axes": [lanes.axis]}
    w.nodes.append(
        onnx.helper.make_node(
            "Scan", [start, full], [end, taken], name=taken, body=graph, num_scan_inputs=1, **axes
        )
    )
    return taken
