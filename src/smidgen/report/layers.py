"""Where the bytes, the work and the time of an artifact go, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.codec.streams import encode_stream
from smidgen.formats import Format
from smidgen.graph import Graph, Node
from smidgen.graph.cost import macs
from smidgen.graph.scan import SCANS, walk
from smidgen.measurement import How
from smidgen.report.model import Layer

FLOAT32_BYTES = 4
# Multipliers, shifts and tables exist in integer networks only.
FLOAT_ROLES = ("weight", "bias", "threshold", "leaf")


def layers_of(
    graph: Graph, seconds: Mapping[str, float] | None = None, how: How = "measured"
) -> tuple[Layer, ...]:
    """One row a node of `graph`, in order, a scan with all that is in its body.

    `seconds` (by node) become shares of their sum. Tied weights are charged to the first node that uses them.
    """
    work, times = macs(graph), dict(seconds or {})
    total = sum(times.values())
    rows, charged = [], set[str]()
    for node in graph.nodes:
        own = {name: graph.weights[name] for name in node.params.values() if name not in charged}
        charged |= set(own)
        share = times[node.name] / total if total > 0 and node.name in times else None
        rows.append(_layer(graph, node, own, work.get(node.name, 0), share, how))
    return tuple(rows)


def _layer(
    graph: Graph, node: Node, own: Mapping[str, Format], work: int, share: float | None, how: How
) -> Layer:
    roles = _roles(node)
    weights = [graph.weights[name] for name, role in roles.items() if role == "weight"]
    return Layer(
        name=node.name,
        op=node.op,
        shape=graph.values[node.output].shape,
        weight_shape=weights[0].shape if len(weights) == 1 else (),
        format=" + ".join(dict.fromkeys(weight.label for weight in weights)),
        bits=_bits(weights),
        raw_bytes=sum(FLOAT32_BYTES * _size(fmt) for name, fmt in own.items() if roles[name] in FLOAT_ROLES),
        packed_bytes=sum(fmt.stored_bytes() for fmt in own.values()),
        coded_bytes=sum(len(encode_stream(leaf)) for fmt in own.values() for leaf in fmt.leaves()),
        macs=work,
        time_share=share,
        time_how=how,
    )


def _roles(node: Node) -> dict[str, str]:
    """Weight -> its role, those of a scan's body included."""
    return {
        name: role for inner in walk([node]) if inner.op not in SCANS for role, name in inner.params.items()
    }


def _bits(weights: Sequence[Format]) -> float | None:
    """Packed bits for each weight, scales and positions included."""
    count = sum(map(_size, weights))
    return 8 * sum(weight.stored_bytes() for weight in weights) / count if count else None


def _size(fmt: Format) -> int:
    return int(np.prod(fmt.shape))
