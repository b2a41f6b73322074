"""ONNX products, transposed convolutions, resizing and moves: captured, and equal to onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import run_float
from smidgen.run.islands import islands
from tests.load.onnx_models import floats, integers, model, op, write

N = 3
IMAGE = (4, 5, 6)
SEQUENCE = (6, 8)


def loaded(made: Any, folder: Path, *shape: int) -> Graph:
    """The model's graph, which must agree with onnxruntime, where it knows the operator."""
    graph = load(write(made, folder / "model.onnx"))
    x = 2 * floats(N, *shape, seed=1)
    try:
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(None, {"x": x})[0]
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        expected = ReferenceEvaluator(made).run(None, {"x": x})[0]
    np.testing.assert_allclose(run_float(graph, x), expected, atol=1e-4, rtol=1e-4)
    return graph


Case = tuple[Any, tuple[int, ...]]


def case(nodes: Any, shape: tuple[int, ...], opset: int = 17, **weights: np.ndarray) -> Case:
    made = nodes if isinstance(nodes, list) else [nodes]
    return model(made, weights, ("n", *shape), opset), shape


def transposed(weight: tuple[int, ...], shape: tuple[int, ...] = IMAGE, **attrs: Any) -> Case:
    return case(
        op("ConvTranspose", "x w b", **attrs),
        shape,
        w=floats(*weight),
        b=floats(weight[1] * attrs.get("group", 1)),
    )


def resized(opset: int, inputs: str, shape: tuple[int, ...] = IMAGE, **attrs: Any) -> Case:
    kept = {"s": np.array([1, 1, 2, 1.5], np.float32), "r": np.zeros(0, np.float32)}
    used = {name: kept[name] for name in inputs.split() if name in kept}
    return case(op("Resize", inputs, **attrs), shape, opset, **used)


CAPTURED: dict[str, Case] = {
    "product of computed": case([op("Transpose", "x", "t", perm=[0, 2, 1]), op("MatMul", "x t")], SEQUENCE),
    "constant first": case(op("MatMul", "w x"), SEQUENCE, w=floats(5, 6)),
    "constant of three axes": case(op("MatMul", "x w"), SEQUENCE, w=floats(1, 8, 5)),
    "constant vector": case(op("MatMul", "x w"), SEQUENCE, w=floats(8)),
    "einsum product": case(op("Einsum", "x x", equation="nij,nkj->nik"), SEQUENCE),
    "einsum heads": case(op("Einsum", "x x", equation="bhqd,bhkd->bhqk"), IMAGE),
    "einsum weight": case(op("Einsum", "x w", equation="nij,kj->nki"), SEQUENCE, w=floats(5, 8)),
    "einsum transpose": case(op("Einsum", "x", equation="nij->nji"), SEQUENCE),
    "einsum implicit": case(op("Einsum", "x w", equation="aij,jk"), SEQUENCE, w=floats(8, 5)),
    "attention": case(op("Attention", "x x x"), (2, 6, 8), 23),
    "attention of heads": case(
        op("Attention", "x x x", q_num_heads=2, kv_num_heads=2, scale=0.3), SEQUENCE, 23
    ),
    "attention with fewer keys": case(
        [op("Slice", "x z o a", "k"), op("Attention", "x k k")],
        (4, 6, 8),
        23,
        z=integers(0),
        o=integers(2),
        a=integers(1),
    ),
    "causal attention": case(op("Attention", "x x x", is_causal=1), (2, 6, 8), 23),
    "masked attention": case(
        op("Attention", "x x x m"), (2, 6, 8), 23, m=np.random.default_rng(0).random((6, 6)) < 0.7
    ),
    "transposed stride": transposed((4, 3, 3, 3), strides=[2, 2], pads=[1, 0, 1, 0], output_padding=[1, 0]),
    "transposed groups": transposed((4, 3, 2, 3), strides=[1, 2], dilations=[2, 1], group=2),
    "transposed deep padding": transposed((4, 3, 2, 2), strides=[2, 2], pads=[2, 2, 1, 1]),
    "transposed same upper": transposed((4, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "transposed same lower": transposed((4, 3, 4, 3), strides=[3, 2], auto_pad="SAME_LOWER"),
    "transposed valid": transposed((4, 3, 3, 3), strides=[2, 2], auto_pad="VALID"),
    "transposed to a shape": transposed((4, 3, 3, 3), strides=[2, 3], output_shape=[10, 18]),
    "transposed sequence": transposed((4, 3, 4), (4, 9), strides=[2], pads=[1, 1]),
    "gather scattered": case(op("Gather", "x i", axis=1), SEQUENCE, i=integers(4, 0, -1, 0)),
    "gather a matrix": case(op("Gather", "x i", axis=2), SEQUENCE, i=integers(4, 0, -1, 0).reshape(2, 2)),
    "slice backwards": case(
        op("Slice", "x s e a t"), SEQUENCE, s=integers(5), e=integers(-9), a=integers(1), t=integers(-2)
    ),
    "tile": case(op("Tile", "x r"), SEQUENCE, r=integers(1, 3, 2)),
    "expand": case(
        [op("ReduceMean", "x", "m", axes=[1]), op("Expand", "m s", "h"), op("Relu", "h")],
        SEQUENCE,
        s=integers(1, 6, 1),
    ),
    "depth to space": case(op("DepthToSpace", blocksize=2), (8, 3, 4)),
    "depth to space by columns": case(op("DepthToSpace", blocksize=2, mode="CRD"), (8, 3, 4)),
    "space to depth": case(op("SpaceToDepth", blocksize=2), (3, 4, 6)),
    "pad reflect": case(op("Pad", "x p", mode="reflect"), IMAGE, p=integers(0, 0, 1, 2, 0, 0, 2, 0)),
    "pad edge": case(op("Pad", "x p", mode="edge"), IMAGE, p=integers(0, 1, 1, 2, 0, 0, 2, 0)),
    "pad wrap": case(op("Pad", "x p", mode="wrap"), IMAGE, 19, p=integers(0, 0, 1, 2, 0, 0, 2, 0)),
    "resize to sizes": case(
        [
            op("Shape", "x", "whole"),
            op("Slice", "whole a b", "kept"),
            op("Concat", "kept z", "sizes", axis=0),
            op("Resize", "x - - sizes", mode="nearest"),
        ],
        IMAGE,
        13,
        **{"a": integers(0), "b": integers(2), "z": integers(7, 9)},
    ),
    **{
        f"resize nearest {rounding} {rule}": resized(
            13, "x r s", nearest_mode=rounding, coordinate_transformation_mode=rule
        )
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        for rule in ("asymmetric", "half_pixel")
    },
    **{
        f"resize {mode} {rule}": resized(13, inputs, mode=mode, coordinate_transformation_mode=rule)
        for mode in ("linear", "cubic")
        for rule in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
        for inputs in ("x r s",)
    },
    "resize on two axes": case(
        op("Resize", "x - s", axes=[2, 3], mode="linear"), IMAGE, 18, s=np.array([2, 3], np.float32)
    ),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_operators_are_captured(name: str, tmp_path: Path) -> None:
    made, shape = CAPTURED[name]
    assert not islands(loaded(made, tmp_path, *shape))


ISLANDS: dict[str, Case] = {
    "antialias": resized(18, "x r s", mode="linear", antialias=1),
    "einsum over one operand": case(op("Einsum", "x w", equation="nij,jk->nk"), SEQUENCE, w=floats(8, 5)),
}


@pytest.mark.parametrize("name", ISLANDS)
def test_other_operators_become_islands_with_a_reason(name: str, tmp_path: Path) -> None:
    made, shape = ISLANDS[name]
    graph = loaded(made, tmp_path, *shape)
    (island,) = islands(graph)
    assert island.reason
    assert island.remedy


def test_factors_beside_a_product_become_a_part_of_it(tmp_path: Path) -> None:
    """softmax(q k^T / sqrt(D)) with the scaling before or behind the product."""
    nodes = [
        op("Mul", "x c", "q"),
        op("Transpose", "q", "t", perm=[0, 2, 1]),
        op("MatMul", "x t", "p"),
        op("Div", "p d", "h"),
        op("Softmax", "h"),
    ]
    made, shape = case(nodes, SEQUENCE, c=np.float32(0.5), d=np.float32(3))
    graph = loaded(made, tmp_path, *shape)
    assert [node.op for node in graph.nodes] == ["transpose", "matmul", "softmax"]
    assert graph.nodes[1].attrs["scale"] == pytest.approx(0.5 / 3)
