"""Where the bytes, the work and the time of an artifact go, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.codec.streams import encode_stream
from smidgen.formats import Format
from smidgen.graph import Graph, Node
from smidgen.graph.cost import macs
from smidgen.measurement import How
from smidgen.report.model import Layer

FLOAT32_BYTES = 4
# Multipliers, shifts and tables exist in integer networks only.
FLOAT_ROLES = ("weight", "bias", "threshold", "leaf")


def layers_of(
    graph: Graph, seconds: Mapping[str, float] | None = None, how: How = "measured"
) -> tuple[Layer, ...]:
    """One row a node of `graph`, in order; `seconds` (by node) become shares of their sum.

    Tied weights are charged to the first node that uses them.
    """
    work, times = macs(graph), dict(seconds or {})
    total = sum(times.values())
    rows, charged = [], set[str]()
    for node in graph.nodes:
        own = {role: graph.weights[name] for role, name in node.params.items() if name not in charged}
        charged |= set(node.params.values())
        share = times[node.name] / total if total > 0 and node.name in times else None
        rows.append(_layer(graph, node, own, work.get(node.name, 0), share, how))
    return tuple(rows)


def _layer(
    graph: Graph, node: Node, own: Mapping[str, Format], work: int, share: float | None, how: How
) -> Layer:
    weight = graph.weights[node.params["weight"]] if "weight" in node.params else None
    return Layer(
        name=node.name,
        op=node.op,
        shape=graph.values[node.output].shape,
        weight_shape=weight.shape if weight else (),
        format=weight.label if weight else "",
        bits=_bits(weight) if weight else None,
        raw_bytes=sum(FLOAT32_BYTES * _size(fmt) for role, fmt in own.items() if role in FLOAT_ROLES),
        packed_bytes=sum(fmt.stored_bytes() for fmt in own.values()),
        coded_bytes=sum(len(encode_stream(leaf)) for fmt in own.values() for leaf in fmt.leaves()),
        macs=work,
        time_share=share,
        time_how=how,
    )


def _bits(weight: Format) -> float | None:
    """Packed bits for each weight, scales and positions included."""
    return 8 * weight.stored_bytes() / _size(weight) if _size(weight) else None


def _size(fmt: Format) -> int:
    return int(np.prod(fmt.shape))
