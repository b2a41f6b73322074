"""What a device unpacks while it multiplies weights where they lie."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Affine, Format
from smidgen.lower.device import OUTPUTS_A_WEIGHT, on_device, unpackings
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.models import gru
from tests.integer_networks import integers_of
from tests.kernels.one_node import one_node, random_ratios


def weight(*shape: int, bits: int = 4) -> Format:
    return Affine.fit(np.random.default_rng(0).normal(size=shape).astype(np.float32), bits, "channel", True)


def conv(side: int, fmt: Format):
    attrs = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    ratios = random_ratios(np.random.default_rng(0), fmt.shape[0])
    params = {"weight": fmt, "bias": np.zeros(fmt.shape[0], np.int32), **ratios}
    return one_node("q.conv", [(side, side, fmt.shape[3])], params, (0,), **attrs, lo=-128, hi=127)


@pytest.mark.parametrize("side", [1, 3, 4, 5, 9])
def test_a_weight_is_unpacked_again_for_every_few_positions(side: int) -> None:
    executed = on_device(conv(side, weight(6, 1, 1, 5)), "stored").graph
    passes = len(range(0, side * side, OUTPUTS_A_WEIGHT))
    assert unpackings(executed) == {"n": 6 * 5 * passes}


def test_weights_of_eight_bits_or_expanded_ones_are_not_unpacked_by_their_layer() -> None:
    assert unpackings(on_device(conv(3, weight(6, 1, 1, 5, bits=8)), "stored").graph) == {}
    assert unpackings(on_device(conv(3, weight(6, 1, 1, 5)), "expanded").graph) == {}


def test_a_recurrence_unpacks_its_weights_in_every_step() -> None:
    graph = integers_of(gru.build((7, 3), 2, 0.0625), AffineQuantization(bits=4))
    executed = on_device(graph, "expanded").graph
    (scan,) = (node for node in executed.nodes if node.op == "q.scan")
    stored = [w for name in set(scan.params.values()) if isinstance(w := executed.weights[name], Affine)]
    assert unpackings(executed) == {scan.name: 7 * sum(int(np.prod(fmt.shape)) for fmt in stored)}
