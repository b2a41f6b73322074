"""ONNX: bytes, and fields of the parsed model: numbers, names, types; parts removed, repeated or moved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor

from smidgen.load import load
from tests.fuzz.mutations import EXTREMES, damaged
from tests.load.onnx_models import constant, floats, integers, model, op

SUFFIX = ".onnx"


@functools.cache
def sound() -> tuple[bytes, ...]:
    conv = [
        op("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        op("Relu", "c", "r"),
        op("MaxPool", "r", "m", kernel_shape=[2, 2]),
    ]
    conv += [op("GlobalAveragePool", "m", "g"), op("Flatten", "g")]
    shaped = [op("Shape", "x", "s"), op("Gather", "s zero", "n"), constant("minus", integers(-1))]
    shaped += [
        op("Unsqueeze", "n zero1", "n1"),
        op("Concat", "n1 minus", "to", axis=0),
        op("Reshape", "x to", "flat"),
    ]
    shaped += [op("Gemm", "flat w b", transB=1)]
    filled = [
        op("ConstantOfShape", "size", "c"),
        op("Add", "c one", "d"),
        op("Tile", "d times", "t"),
        op("Mul", "x t"),
    ]
    island = [op("Sin", "x", "s"), op("Softmax", "s", "p", axis=1), op("Add", "p x")]
    lstm = [op("LSTM", "x w r", "h", hidden_size=3), op("Squeeze", "h one1")]
    normal = [op("BatchNormalization", "x s b m v", "n"), op("Sigmoid", "n", "g"), op("Mul", "n g")]
    made = (
        model(conv, {"w": floats(4, 3, 3, 3), "b": floats(4)}, ("n", 3, 6, 6)),
        model(
            shaped,
            {"w": floats(5, 8), "b": floats(5), "zero": np.int64(0), "zero1": integers(0)},
            ("n", 2, 4),
        ),
        model(filled, {"size": integers(4), "one": floats(1), "times": integers(1)}, ("n", 4)),
        model(island, {}, ("n", 4)),
        model(lstm, {"w": floats(1, 12, 2), "r": floats(1, 12, 3), "one1": integers(1)}, (5, "n", 2)),
        model(normal, {"s": floats(3), "b": floats(3), "m": floats(3), "v": abs(floats(3))}, ("n", 3, 4)),
    )
    return tuple(each.SerializeToString() for each in made)


def case(rng: Random) -> bytes:
    data = rng.choice(sound())
    if rng.random() < 0.3:
        return damaged(data, rng, rng.choice(sound()))
    parsed = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(parsed))
        message, field = rng.choice(places)
        _edit(message, field, rng, _names(places))
    return bytes(parsed.SerializeToString())


def _places(message: Any) -> Iterator[tuple[Any, Any]]:
    """All set fields of a message and of those in it."""
    for field, value in message.ListFields():
        yield message, field
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from _places(inner)


def _names(places: list[tuple[Any, Any]]) -> list[Any]:
    texts = [
        getattr(m, f.name) for m, f in places if f.type == FieldDescriptor.TYPE_STRING and not f.is_repeated
    ]
    return [*texts, "", "x", "y", "Sin", "Loop", "../w.bin", "location"]


def _edit(message: Any, field: Any, rng: Random, names: list[Any]) -> None:
    if field.is_repeated:
        _edit_list(getattr(message, field.name), field, rng, names)
    elif field.type == FieldDescriptor.TYPE_MESSAGE or rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        _set(lambda value: setattr(message, field.name, value), field, rng, names)


def _edit_list(items: Any, field: Any, rng: Random, names: list[Any]) -> None:
    at, kind = rng.randrange(len(items)), rng.randrange(4)
    if kind == 0:
        del items[at]
    elif kind == 1:
        items.extend([items[at]])
    elif kind == 2 and field.type == FieldDescriptor.TYPE_MESSAGE:
        moved = type(items[at]).FromString(items[at].SerializeToString())
        del items[at]
        items.insert(rng.randrange(len(items) + 1), moved)
    elif field.type != FieldDescriptor.TYPE_MESSAGE:
        _set(lambda value: items.__setitem__(at, value), field, rng, names)


def _set(put: Callable[[Any], None], field: Any, rng: Random, names: list[Any]) -> None:
    """Another value of the field's type; one that the field can't hold is left out."""
    values: list[Any] = [
        rng.choice(EXTREMES),
        rng.choice(names),
        float("nan"),
        1e30,
        rng.randbytes(rng.randrange(64)),
    ]
    for value in rng.sample(values, len(values)):
        with suppress(TypeError, ValueError):
            return put(value)


def use(path: Path) -> None:
    graph = load(path)
    graph.check()
    for weight in graph.weights.values():
        assert weight.decode().shape == weight.shape
