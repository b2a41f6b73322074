"""A recurrence as ONNX's Scan operator: the body is a graph inside, its constants lie outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.emit.onnx_writer import OnnxWriter
from smidgen.graph import Node, Value
from smidgen.graph.scan import body_of, sequences_of, states_of

Body = Callable[[OnnxWriter, Mapping[str, str]], Mapping[str, str]]
TypeOf = Callable[[Value], npt.DTypeLike]


def write_scan(
    w: OnnxWriter, node: Node, x: str, starts: Sequence[str], write_body: Body, type_of: TypeOf
) -> tuple[str, ...]:
    """Append the operator; the names of its outputs in the order of the node's.

    `x` [n, T, ..] and `starts` [n, ..] (one a state) name its inputs; `write_body(writer, inputs)` appends
    the body's nodes, from and to ONNX names by value; `type_of` gives the ONNX type that carries a value.
    """
    import onnx

    body, states = body_of(node), states_of(node)
    inner = w.inner()
    given = {name: inner.unique(f"{name}.step") for name in body.inputs}
    made = write_body(inner, given)
    following = body.outputs[len(body.outputs) - len(states) :]
    # A Scan takes and gives states first; every output of a body needs a name of its own.
    order = [*following, *sequences_of(node)]
    results = [inner.op("Identity", [made[name]], f"{name}.result") for name in order]

    def port(onnx_name: str, value: str) -> Any:
        declared = body.values[value]
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(type_of(declared)))
        return onnx.helper.make_tensor_value_info(onnx_name, kind, ["n", *declared.shape])

    graph = onnx.helper.make_graph(
        inner.nodes,
        node.name,
        [port(given[name], name) for name in (*states, body.inputs[0])],
        [port(result, name) for result, name in zip(results, order, strict=True)],
    )
    kept, backwards = len(order) - len(states), int(node.attrs["reverse"])
    outs = [w.unique(f"{name}.scanned") for name in (*states, *sequences_of(node))]
    w.nodes.append(
        onnx.helper.make_node(
            "Scan",
            [*starts, x],
            outs,
            name=w.unique(node.name),
            body=graph,
            num_scan_inputs=1,
            scan_input_axes=[1],
            scan_input_directions=[backwards],
            **(
                {"scan_output_axes": [1] * kept, "scan_output_directions": [backwards] * kept} if kept else {}
            ),
        )
    )
    return (*outs[len(states) :], *outs[: len(states)])


def at_rest(w: OnnxWriter, x: str, shape: Sequence[int], carried: np.generic, name: str) -> str:
    """[n, *shape] filled with `carried`, for the batch size of `x`."""
    import onnx

    batch = w.op("Slice", [w.op("Shape", [x], f"{name}.shape"), *_first(w)], f"{name}.batch")
    sizes = w.op("Concat", [batch, w.constant(list(shape), np.int64, f"{name}.sizes")], f"{name}.all", axis=0)
    value = onnx.numpy_helper.from_array(np.asarray([carried]))
    return w.op("ConstantOfShape", [sizes], name, value=value)


def _first(w: OnnxWriter) -> list[str]:
    return [w.constant([number], np.int64, "index") for number in (0, 1)]
