"""Transformer classifier over the first axis of its input: two blocks of attention and GELU, then a mean.

Ref: Vaswani et al. 2017 (arXiv 1706.03762), normalized behind each sum; Hendrycks, Gimpel 2016
(arXiv 1606.08415).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.models.layers import Blocks, scaled

BLOCKS, HEADS, HEAD_FEATURES = 2, 2, 16
WIDENING = 2  # of the feed-forward layers
POSITION_DEVIATION = 0.02
EPSILON = 1e-5


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """The network for input [T, ..] and `classes` outputs; fresh weights from `seed`. Raises BadInput."""
    if len(input_shape) < 2 or min(input_shape) < 1:
        raise BadInput("transformer", f"input shape {list(input_shape)}", "it takes [steps, features]")
    if classes < 2:
        raise BadInput("transformer", f"{classes} classes", "a classifier needs at least two")
    blocks = Blocks("transformer", input_shape, seed)
    steps, head = input_shape[0], scaled(HEAD_FEATURES, width)
    if len(input_shape) > 2:
        shape = (steps, math.prod(input_shape[1:]))
        blocks.x = blocks.builder.op("reshape", [blocks.x], name="steps", shape=shape)
    blocks.linear(HEADS * head, relu=False, name="enter")
    places = blocks.rng.standard_normal((steps, HEADS * head)) * POSITION_DEVIATION
    place = blocks.builder.op("constant", [], {"value": places.astype(np.float32)}, "positions")
    blocks.x = blocks.builder.op("add", [blocks.x, place], name="placed")
    for number in range(1, BLOCKS + 1):
        _attention(blocks, f"block{number}.attention", head)
        _feed_forward(blocks, f"block{number}.forward")
    return blocks.global_mean().classify(classes)


def _attention(blocks: Blocks, name: str, head: int) -> None:
    """x + W softmax(q k^T / sqrt(head)) v, normalized."""
    b, x, features = blocks.builder, blocks.x, blocks.shape[-1]
    steps = blocks.shape[0]

    def heads(part: str, perm: tuple[int, ...]) -> str:
        made = b.linear(x, _xavier(blocks.rng, features, features), np.zeros(features), f"{name}.{part}")
        split = b.op("reshape", [made], name=f"{name}.{part}.split", shape=(steps, HEADS, head))
        return b.op("transpose", [split], name=f"{name}.{part}.heads", perm=perm)

    pair = [heads("query", (1, 0, 2)), heads("key", (1, 2, 0))]
    scores = b.op("matmul", pair, name=f"{name}.scores", scale=1 / math.sqrt(head))
    weights = b.op("softmax", [scores], name=f"{name}.weights")
    mixed = b.op("matmul", [weights, heads("value", (1, 0, 2))], name=f"{name}.mixed", scale=1.0)
    joined = b.op("transpose", [mixed], name=f"{name}.turned", perm=(1, 0, 2))
    joined = b.op("reshape", [joined], name=f"{name}.joined", shape=(steps, features))
    made = b.linear(joined, _xavier(blocks.rng, features, features), np.zeros(features), f"{name}.out")
    _added(blocks, x, made, name)


def _feed_forward(blocks: Blocks, name: str) -> None:
    """x + W2 gelu(W1 x), normalized."""
    x, features = blocks.x, blocks.shape[-1]
    blocks.linear(WIDENING * features, relu=False, name=f"{name}.in").activation(f"{name}.gelu", "gelu")
    blocks.linear(features, relu=False, name=f"{name}.out")
    _added(blocks, x, blocks.x, name)


def _added(blocks: Blocks, x: str, made: str, name: str) -> None:
    """The sum, normalized over the features of each step."""
    b, features = blocks.builder, blocks.shape[-1]
    total = b.op("add", [x, made], name=f"{name}.sum")
    params = {"gamma": np.ones(features, np.float32), "beta": np.zeros(features, np.float32)}
    attrs = {"axes": (1,), "epsilon": EPSILON, "centered": True}
    blocks.x = b.op("normalize", [total], params, f"{name}.norm", **attrs)


def _xavier(rng: np.random.Generator, outputs: int, inputs: int) -> npt.NDArray[np.float32]:
    """Uniform with variance 2 / (fan_in + fan_out); shape [O, I]. Ref: Glorot, Bengio 2010, eq. 16."""
    reach = math.sqrt(6 / (inputs + outputs))
    return rng.uniform(-reach, reach, (outputs, inputs)).astype(np.float32)
