"""Operation counts against networks counted by hand."""

from __future__ import annotations

import numpy as np

from smidgen.formats import BinaryPacks
from smidgen.graph import GraphBuilder
from smidgen.graph.cost import element_operations, macs
from smidgen.lower.schedule import expand_weights
from tests.integer_networks import integer_network
from tests.kernels.test_bits import signs_to
from tests.networks import small_cnn, small_gru


def test_macs_of_convolutions_and_linear_layers() -> None:
    assert macs(small_cnn()) == {
        "conv1": 8 * 8 * 12 * 9,
        "conv2": 4 * 4 * 12 * 9 * 12,
        "linear1": 10 * 48,
    }


def test_a_depthwise_convolution_has_one_input_channel_a_group() -> None:
    b = GraphBuilder("g")
    y = b.conv(b.input("x", (5, 5, 6)), np.ones((6, 3, 3, 1)), stride=2, groups=6)
    assert macs(b.graph(y)) == {y: 2 * 2 * 6 * 9}


def test_lowering_and_expanding_weights_keep_the_macs() -> None:
    graph = integer_network("int4")
    expanded = expand_weights(graph)
    assert list(macs(expanded).values()) == list(macs(graph).values()) == list(macs(small_cnn()).values())


def test_layers_on_bits_do_not_count_lost_packs() -> None:
    weight = BinaryPacks.fit(np.ones((10, 96), np.float32), 0.7)
    params = {"weight": weight, "threshold": np.zeros(10, np.int32)}
    assert macs(signs_to((96,), "q.binary_linear_bits", params, True))["n"] == 10 * 32


def test_a_decoded_weight_costs_one_operation_each() -> None:
    graph = expand_weights(integer_network("int4"))
    decodes = [count for name, count in element_operations(graph).items() if name.endswith(".decode")]
    assert decodes == [12 * 9, 12 * 9 * 12, 10 * 48]


def test_pools_count_their_windows_and_reshapes_nothing() -> None:
    b = GraphBuilder("g")
    h = b.pool("max", b.input("x", (4, 4, 3)), 2, name="pool")
    h = b.op("add", [h, h], name="sum")
    assert element_operations(b.graph(b.flatten(h))) == {"pool": 2 * 2 * 3 * 4, "sum": 2 * 2 * 2 * 3}


def test_a_scan_costs_its_body_at_every_step() -> None:
    gates, units, features, steps = 3, 10, 8, 8
    assert macs(small_gru()) == {"gru": steps * gates * units * (features + units), "logits": 10 * units}
    # 3 sums, 3 functions, 3 products or differences of two, one last sum: each touches two vectors at most.
    per_step = 3 * 2 * units + 3 * units + 3 * 2 * units + 2 * units
    assert element_operations(small_gru()) == {"gru": steps * per_step}
