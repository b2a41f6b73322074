"""Runs a graph node by node. The operator table decides what numbers mean; this only moves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.errors import BadInput, Unsupported
from smidgen.graph import Graph, Node
from smidgen.graph.core import Attrs, Value
from smidgen.numerics import Array
from smidgen.run.rest import with_rest

Watch = Callable[[Node, Sequence[Array]], None]
CHUNK = 128  # samples computed at once: bounds the memory of unrolled windows


@dataclass(frozen=True)
class Site:
    """What an operator sees: its node's attributes, weights by role, and its values' declarations.

    `samples`: how many there are; `watch` is for operators that run nodes of their own.
    """

    node: Node
    weights: Mapping[str, Array]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    samples: int
    watch: Watch | None = None

    @property
    def attrs(self) -> Attrs:
        return self.node.attrs


Function = Callable[[Site, Sequence[Array]], Array | Sequence[Array]]


def interpret(
    graph: Graph,
    inputs: Sequence[Array],
    functions: Mapping[str, Function],
    weights: Callable[[str], Array],
    watch: Watch | None = None,
) -> tuple[Array, ...]:
    """Outputs of the graph for batched inputs. `watch(node, outputs)` sees every layer, those inside a scan
    once a step; values are freed after their last use.
    """
    live = dict(zip(graph.inputs, inputs, strict=True))
    last_use = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    for number, node in enumerate(graph.nodes):
        function = functions.get(node.op)
        if function is None:
            raise Unsupported(node.name, f"the interpreter has no operator {node.op!r}")
        site = Site(
            node,
            {role: weights(name) for role, name in node.params.items()},
            tuple(graph.values[name] for name in node.inputs),
            tuple(graph.values[name] for name in node.outputs),
            len(inputs[0]),
            watch,
        )
        made = function(site, [live[name] for name in node.inputs])
        results = [made] if isinstance(made, np.ndarray) else list(made)
        live.update(zip(node.outputs, results, strict=True))
        if watch:
            watch(node, results)
        for name in {*node.inputs, *node.outputs}:
            if last_use.get(name, -1) <= number and name not in graph.outputs:
                del live[name]
    return tuple(live[name] for name in graph.outputs)


def interpret_chunks(
    graph: Graph,
    x: Array | Sequence[Array],
    functions: Mapping[str, Function],
    weights: Callable[[str], Array],
    watch: Watch | None = None,
) -> tuple[Array, ...]:
    """`interpret` over slices of the batch; shapes of the inputs are checked. With `watch`: one slice.

    Inputs that only start a recurrence may be left out: it then starts at rest.
    """
    inputs = with_rest(graph, (x,) if isinstance(x, np.ndarray) else tuple(x))
    check_inputs(graph, inputs)
    n = inputs[0].shape[0]
    size = n if watch else CHUNK
    parts = [
        interpret(graph, [a[i : i + size] for a in inputs], functions, weights, watch)
        for i in range(0, max(n, 1), max(size, 1))
    ]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def check_inputs(graph: Graph, inputs: Sequence[Array]) -> None:
    """Raise BadInput unless there is one array [n, *shape] per graph input, all with the same n."""
    if len(inputs) != len(graph.inputs):
        raise BadInput(graph.name, f"{len(inputs)} inputs", f"the network takes {len(graph.inputs)}")
    for name, array in zip(graph.inputs, inputs, strict=True):
        shape = graph.values[name].shape
        if array.ndim != len(shape) + 1 or array.shape[1:] != shape or array.shape[0] != inputs[0].shape[0]:
            expected = f"[n, {', '.join(map(str, shape))}] is needed"
            raise BadInput(f"input {name}", f"an array of shape {list(array.shape)}", expected)
