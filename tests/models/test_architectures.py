"""Every architecture: legal, seeded, He-initialised, growing with its width; known ones of the known size."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.learn.fit import float_logits
from smidgen.models import cnn1d, dscnn, lenet, mlp, mobilenet, resnet8, transformer
from smidgen.models.layers import he_normal, parameter_count, scaled

CASES: dict[str, tuple[Callable[..., Graph], tuple[int, ...], int]] = {
    "mlp": (mlp.build, (8, 8, 1), 10),
    "lenet5": (lenet.build, (28, 28, 1), 10),
    "lenet300": (lenet.build_300_100, (28, 28, 1), 10),
    "cnn1d": (cnn1d.build, (200, 6), 7),
    "resnet8": (resnet8.build, (32, 32, 3), 10),
    "dscnn": (dscnn.build, (49, 10, 1), 12),
    "mobilenet": (mobilenet.build, (32, 32, 3), 5),
    "transformer": (transformer.build, (28, 28, 1), 10),
}
every_architecture = pytest.mark.parametrize(("build", "shape", "classes"), CASES.values(), ids=CASES.keys())

# Published totals count biases of convolutions and running statistics, which ours leaves out: the difference
# is one bias and two statistics for each channel that is normalised, given here.
PUBLISHED = {
    "lenet5 on MNIST": (lenet.build((28, 28, 1), 10), 61_706, 0, 0),
    "lenet300 on MNIST": (lenet.build_300_100((28, 28, 1), 10), 266_610, 0, 0),
    "resnet8 of MLPerf Tiny": (resnet8.build((32, 32, 3), 10), 78_666, 240, 480),
    "dscnn of MLPerf Tiny": (dscnn.build((49, 10, 1), 12), 24_908, 576, 1152),
    "mobilenet on ImageNet": (mobilenet.build((224, 224, 3), 1000), 4_253_864, 0, 21_888),
}


@every_architecture
def test_it_is_legal_and_ends_in_logits(
    build: Callable[..., Graph], shape: tuple[int, ...], classes: int
) -> None:
    graph = build(shape, classes)
    graph.check()
    assert graph.values[graph.inputs[0]].shape == shape
    assert graph.outputs == ("logits",)
    assert graph.values["logits"].shape == (classes,)


@every_architecture
def test_the_seed_alone_decides_the_weights(
    build: Callable[..., Graph], shape: tuple[int, ...], classes: int
) -> None:
    once, again, other = (build(shape, classes, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(once.weights[n].decode(), again.weights[n].decode()) for n in once.weights)
    assert not np.array_equal(once.weights["logits.weight"].decode(), other.weights["logits.weight"].decode())


@every_architecture
def test_parameters_grow_with_the_width(
    build: Callable[..., Graph], shape: tuple[int, ...], classes: int
) -> None:
    counts = [parameter_count(build(shape, classes, width=w)) for w in (0.05, 0.25, 0.5, 1.0, 1.5)]
    assert all(a < b for a, b in pairwise(counts))


@every_architecture
def test_a_wider_network_has_the_same_nodes(
    build: Callable[..., Graph], shape: tuple[int, ...], classes: int
) -> None:
    thin, wide = build(shape, classes, width=0.25), build(shape, classes, width=2.0)
    assert [(n.name, n.op, n.inputs) for n in thin.nodes] == [(n.name, n.op, n.inputs) for n in wide.nodes]


@pytest.mark.parametrize(
    ("graph", "published", "biases", "statistics"), PUBLISHED.values(), ids=PUBLISHED.keys()
)
def test_it_has_the_published_number_of_parameters(
    graph: Graph, published: int, biases: int, statistics: int
) -> None:
    assert parameter_count(graph) + biases + statistics == published
    normalised = sum(graph.values[n.output].shape[-1] for n in graph.nodes if n.op == "batch_norm")
    assert statistics == 2 * normalised


def test_the_watch_network_is_small_in_flash_and_ram() -> None:
    graph = cnn1d.build((200, 6), 7)
    assert parameter_count(graph) == 32_839
    assert max(value.size for value in graph.values.values()) <= 3200


@pytest.mark.parametrize("name", ["mlp", "lenet5", "cnn1d", "resnet8", "dscnn", "transformer"])
def test_a_fresh_network_keeps_the_scale_of_its_input(name: str) -> None:
    build, shape, classes = CASES[name]
    x = np.random.default_rng(0).standard_normal((16, *shape)).astype(np.float32)
    assert 0.05 < float_logits(build(shape, classes), x).std() < 10


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 20))
@settings(max_examples=20)
def test_initial_weights_have_variance_two_over_fan_in(outputs: int, kernel: int, inputs: int) -> None:
    weight = he_normal(np.random.default_rng(0), (outputs, kernel, inputs))
    spread = 5 * math.sqrt(2 / weight.size)  # five standard errors of a variance estimate
    assert abs(np.mean(weight.astype(np.float64) ** 2) * kernel * inputs / 2 - 1) < max(spread, 0.05)
    assert weight.dtype == np.float32


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(16, 0.5, 8), (10, 0.25, 3), (6, 0.01, 1), (3, 1.5, 5), (64, 1.0, 64)]
)
def test_channels_are_rounded_half_up_and_never_vanish(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_width_is_refused(width: float) -> None:
    with pytest.raises(BadInput, match="width multiplier is a positive number"):
        cnn1d.build((200, 6), 7, width=width)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cnn1d.build((200, 6, 1), 7), r"cnn1d: input shape \[200, 6, 1\], but it takes \[T, C\]"),
        (lambda: cnn1d.build((4, 6), 7), "at least 8 along T"),
        (lambda: lenet.build((8, 8, 1), 10), "at least 12 along H, W"),
        (lambda: resnet8.build((32, 32), 10), r"it takes \[H, W, C\]"),
        (lambda: dscnn.build((49, 10, 0), 12), r"it takes \[T, F, C\]"),
        (lambda: mobilenet.build((32, 32, 3), 1), "1 classes"),
        (lambda: transformer.build((4,), 3), r"it takes \[steps, features\]"),
        (lambda: transformer.build((4, 2), 1), "1 classes"),
        (lambda: mlp.build((4,), 3, sizes=(8, 0)), r"sizes \[8, 0\]"),
        (lambda: mlp.build((4, 0), 3), r"input \[4, 0\]"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        call()


@pytest.mark.parametrize(
    ("build", "shape"),
    [(lenet.build, (12, 13, 3)), (cnn1d.build, (8, 1)), (resnet8.build, (4, 5, 1)), (dscnn.build, (1, 1, 1))],
)
def test_the_smallest_legal_input_works(build: Callable[..., Graph], shape: tuple[int, ...]) -> None:
    build(shape, 2).check()
    assert parameter_count(build(shape, 2)) > 0
