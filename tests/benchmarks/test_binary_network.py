"""What `benchmarks/binary_network.py` calls a network with nothing fused."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmarks.binary_network import with_nothing_fused
from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.models.layers import Blocks


def binary_network() -> Graph:
    blocks = Blocks("small", (8, 8, 1), 0).conv(8, 3, 2).conv(32, 3).conv(32, 3).max_pool(2)
    graph = blocks.conv(8, 3).flatten().classify(3)
    return Xnor().apply(graph, Context(None, graph))


def operators(graph: Graph) -> Counter[str]:
    rng = np.random.default_rng(0)
    some = Dataset(rng.random((20, 8, 8, 1), np.float32), np.arange(20) % 3)
    made = AffineQuantization().apply(graph, Context(Splits(some, some, some, 3), graph))
    return Counter(node.op for node in lower(made).nodes)


def test_scales_norms_and_signs_become_operators_of_their_own() -> None:
    fused, apart = (operators(graph) for graph in (binary_network(), with_nothing_fused(binary_network())))
    assert fused["q.binary_conv_bits"] == 2
    assert apart["q.binary_conv_bits"] == 0
    assert apart["q.binary_conv"] == 3
    assert apart["q.binarize"] == 3
    # A first convolution, and a norm behind each of the four convolutions.
    assert fused["q.conv"] == 1
    assert apart["q.conv"] == 5


def test_nothing_is_an_output_that_was_not_made_before() -> None:
    graph = binary_network()
    assert set(with_nothing_fused(graph).outputs) <= set(graph.values)
