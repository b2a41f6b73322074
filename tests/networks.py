"""Small networks that the tests share, built with random weights."""

from __future__ import annotations

import numpy as np

from smidgen.data.dataset import Dataset, Splits
from smidgen.formats import Binary, BinaryPacks
from smidgen.graph import Graph, GraphBuilder
from smidgen.models.recurrent import classifier


def batch_norm(b: GraphBuilder, x: str, rng: np.random.Generator) -> str:
    n = b.shape(x)[-1]
    params = {
        "gamma": rng.uniform(0.5, 1.5, n),
        "beta": rng.normal(size=n) * 0.2,
        "mean": rng.normal(size=n) * 0.2,
        "variance": rng.uniform(0.5, 1.5, n),
    }
    return b.op("batch_norm", [x], params, epsilon=1e-5)


def kitchen_sink(seed: int = 0) -> Graph:
    """Residual, depthwise, padded average pool, squeeze-and-excite, concat, table activations, softmax."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("sink")
    x = b.input("x", (12, 12, 3))
    h = b.conv(x, rng.normal(size=(8, 3, 3, 3)) * 0.3, stride=2, padding=1)
    h = b.op("relu", [batch_norm(b, h, rng)])
    k = b.conv(h, rng.normal(size=(8, 3, 3, 1)) * 0.3, rng.normal(size=8) * 0.1, padding=1, groups=8)
    h = b.op("relu6", [b.op("add", [h, k])])
    h = b.pool("avg", h, 3, 2, 1)
    gate = b.op("hardsigmoid", [b.op("mean", [h], axes=(0, 1), keepdims=True)])
    h = b.op("mul", [h, gate])
    h = b.op("concat", [h, b.op("tanh", [h])], axis=2)
    h = b.op("pad", [h], pads=((1, 0), (0, 0), (0, 0)), value=0.0)
    h = b.op("transpose", [h], perm=(2, 0, 1))
    h = b.flatten(h)
    h = batch_norm(b, h, rng)
    h = b.op("hardswish", [b.linear(h, rng.normal(size=(9, b.shape(h)[0])) * 0.1)])
    h = b.op("add_constant", [h], {"constant": rng.normal(size=9)})
    return b.graph(b.op("softmax", [b.linear(h, rng.normal(size=(5, 9)), rng.normal(size=5))]))


def small_cnn(seed: int = 0, classes: int = 10) -> Graph:
    """Two convolutions for 8x8 digits."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("small_cnn")
    x = b.input("x", (8, 8, 1))
    h = b.conv(x, rng.normal(size=(12, 3, 3, 1)) * 0.4, padding=1)
    h = b.pool("max", b.op("relu", [batch_norm(b, h, rng)]), 2)
    h = b.conv(h, rng.normal(size=(12, 3, 3, 12)) * 0.15, np.zeros(12), padding=1)
    h = b.flatten(b.pool("avg", b.op("relu", [h]), 2))
    return b.graph(b.linear(h, rng.normal(size=(classes, 48)) * 0.15, np.zeros(classes)))


def binary_cnn(seed: int = 0, classes: int = 10) -> Graph:
    """Bits from the second layer to the last but one; channels do not fill words, batch norms fall."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("binary_cnn")

    def signs(x: str) -> str:
        """Of a batch norm whose channels rise or fall."""
        falling = b.op("mul_constant", [x], {"constant": rng.choice([-1.0, 1.0], b.shape(x)[-1])})
        return b.op("binarize", [batch_norm(b, falling, rng)])

    h = b.conv(b.input("x", (8, 8, 1)), rng.normal(size=(40, 3, 3, 1)) * 0.4, np.zeros(40), padding=1)
    h = signs(b.pool("max", h, 2))
    h = signs(b.conv(h, Binary.fit(_normal(rng, 35, 3, 3, 40)), padding=1))
    h = b.op("relu", [b.conv(h, Binary.fit(_normal(rng, 12, 2, 2, 35)), rng.normal(size=12), stride=2)])
    h = b.op("binarize", [batch_norm(b, h, rng)])
    h = batch_norm(b, b.conv(h, Binary.fit(_normal(rng, 64, 1, 1, 12)), padding=1), rng)
    h = b.op("binarize", [b.flatten(b.pool("max", h, 2))])
    h = b.op("binarize", [b.linear(h, Binary.fit(_normal(rng, 33, 256)), rng.normal(size=33))])
    h = b.op("relu", [b.linear(h, Binary.fit(_normal(rng, 20, 33)))])
    return b.graph(b.linear(h, rng.normal(size=(classes, 20)), rng.normal(size=classes)))


def packs_cnn() -> Graph:
    """The same with half of the words of each binary weight lost, one of each row at least."""
    graph = binary_cnn()
    signs = {name: fmt for name, fmt in graph.weights.items() if isinstance(fmt, Binary)}
    return graph.with_weights({name: BinaryPacks.fit(fmt.latent, 0.5) for name, fmt in signs.items()})


def few_bits_cnn(seed: int = 0, classes: int = 10) -> Graph:
    """Planes of one to four bits and signs, handed on in all ways; channels do not fill words."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("few_bits_cnn")
    h = b.conv(b.input("x", (8, 8, 1)), rng.normal(size=(40, 3, 3, 1)) * 0.4, np.zeros(40), padding=1)
    h = b.op("unipolar2", [b.pool("max", batch_norm(b, h, rng), 2)])
    h = b.conv(h, Binary.fit_powers(_normal(rng, 35, 3, 3, 40)), padding=1)
    h = b.op("unipolar3", [shift_norm(b, h, rng)])
    h = batch_norm(b, b.conv(h, Binary.fit(_normal(rng, 64, 2, 2, 35)), padding=1), rng)
    h = b.op("unipolar4", [b.flatten(b.pool("max", h, 2))])
    h = b.op("binarize", [b.linear(h, Binary.fit(_normal(rng, 33, 256)), rng.normal(size=33))])
    h = b.op("unipolar1", [b.linear(h, Binary.fit(_normal(rng, 20, 33)), rng.normal(size=20))])
    h = b.op("unipolar2", [b.linear(h, Binary.fit(_normal(rng, 24, 20)))])
    return b.graph(b.linear(h, rng.normal(size=(classes, 24)), rng.normal(size=classes)))


def shift_norm(b: GraphBuilder, x: str, rng: np.random.Generator) -> str:
    """Statistics as of sums whose steps are 1/8."""
    channels = b.shape(x)[-1]
    params = {"mean": rng.normal(size=channels), "variance": rng.uniform(1, 20, channels)}
    return b.op("shift_norm", [x], params, epsilon=1e-5, extra_scale=1.0)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def small_gru(seed: int = 0, classes: int = 10) -> Graph:
    """A recurrent layer of 10 units over the rows of 8x8 digits."""
    return classifier("gru", (8, 8, 1), classes, 10, 1.0, seed)


def digits() -> Splits:
    """The 8x8 digits of scikit-learn, 0..1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.data))
    x = (found.data[order] / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    y = found.target[order].astype(np.int64)
    cuts = ((0, 1100), (1100, 1450), (1450, 1797))
    return Splits(*(Dataset(x[a:b], y[a:b]) for a, b in cuts), classes=10)


def noise_like(graph: Graph, n: int = 64, seed: int = 0) -> Splits:
    """Random inputs of the graph's shape, labels all 0: enough to calibrate."""
    rng = np.random.default_rng(seed)
    shape = graph.values[graph.inputs[0]].shape
    part = Dataset(rng.normal(size=(n, *shape)).astype(np.float32), np.zeros(n, np.int64))
    return Splits(part, part, part, 5)


def peaked(seed: int = 0) -> Graph:
    """A small network with most weights near zero, as trained ones have them."""
    rng, b = np.random.default_rng(seed), GraphBuilder("peaked")
    x = b.input("x", (64,))
    for name, sizes in {"wide": (256, 64), "narrow": (64, 256)}.items():
        x = b.op("relu", [b.linear(x, rng.normal(size=sizes) ** 5 / 200, np.zeros(sizes[0]), name)])
    return b.graph(b.linear(x, rng.normal(size=(10, 64)), np.zeros(10), "logits"))


def large_maps() -> Graph:
    """Two convolutions over a whole image, then one pool that makes it small."""
    rng, b = np.random.default_rng(0), GraphBuilder("large")
    x = b.input("x", (32, 32, 1))
    for out, channels in ((8, 1), (8, 8)):
        x = b.op("relu", [b.conv(x, rng.normal(size=(out, 3, 3, channels)), np.zeros(out), padding=1)])
    x = b.flatten(b.pool("max", x, 4))
    return b.graph(b.linear(x, rng.normal(size=(3, 512)), np.zeros(3)))
