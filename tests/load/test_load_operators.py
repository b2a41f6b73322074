"""Functions, normalization, reductions, comparisons, choices in both loaders: no islands, right numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import run_float, run_float_all
from smidgen.run.islands import islands
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.conftest import require
from tests.integer_networks import integers_of, random_integers
from tests.load.onnx_models import integers, model, op

torch.manual_seed(0)
N = 3
CAUSAL = torch.tril(torch.ones(5, 5)) > 0
POSITIONS = torch.randn(4, 5)


class Function(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def loaded(module: nn.Module | Callable[[Tensor], Tensor], *shape: int) -> Graph:
    """The graph of a module, without islands; it computes what the module does."""
    whole = module if isinstance(module, nn.Module) else Function(module)
    x = 2 * torch.randn(N, *shape, generator=torch.Generator().manual_seed(0))
    graph = load(whole.eval(), x[:1])
    assert not islands(graph)
    with torch.no_grad():
        expected = whole(x).float().numpy()
    np.testing.assert_allclose(run_float(graph, x.numpy()), expected, atol=1e-4, rtol=1e-4)
    return graph


def affine(module: Any) -> nn.Module:
    """With random instead of fresh parameters."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return module


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: getattr(F, name) for name in ("gelu", "silu", "mish", "softplus", "softsign", "elu", "selu")},
    **{name: getattr(F, name) for name in ("celu", "logsigmoid", "hardshrink", "softshrink", "tanhshrink")},
    **{name: getattr(F, name) for name in ("hardsigmoid", "relu6")},
    **{name: getattr(torch, name) for name in ("erf", "exp", "abs", "sin", "cos", "floor", "ceil", "round")},
    **{name: getattr(torch, name) for name in ("sign", "trunc", "frac", "expm1", "square", "neg", "atan")},
    **{name: getattr(torch, name) for name in ("exp2", "sinh", "asinh")},
    "gelu with tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu with alpha": lambda x: F.elu(x, 0.3),
    "celu with alpha": lambda x: F.celu(x, 0.7),
    "softplus with beta": lambda x: F.softplus(x, beta=2.0),
    "threshold": lambda x: F.threshold(x, 0.5, -2.0),
    "log": lambda x: (x.abs() + 1).log() + (x * x + 1).log2() + (x * x + 1).log10() + x.abs().log1p(),
    "sqrt": lambda x: (x * x + 1).sqrt() + (x * x + 1).rsqrt() + (x * x + 1).reciprocal(),
    "powers": lambda x: x**3 + (x * x + 1) ** 1.5 + (x.abs() + 1) ** -2 + 2**x + x**5,
    "quotients": lambda x: x / (x * x + 1) + 3 / (x.abs() + 1) + torch.addcdiv(x, x, x.abs() + 1, value=2),
    "rounded quotients": lambda x: x // 0.7 + torch.div(x, 0.3, rounding_mode="trunc") + x % 0.5,
    "lerp": lambda x: torch.lerp(x, x.abs(), 0.3) + torch.addcmul(x, x, x, value=0.5),
    "comparisons": lambda x: (x > 0.5) * 0.1 - (x <= x.abs()).float() + (x != 0) * x + (x.round() == 1) * 0.3,
    "logic": lambda x: ((x > 0) & ~(x > 1) | (x < -1)).float() + torch.logical_xor(x > 0, x > 1).float(),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x) + torch.where(x > 1, 1.0, 3.0),
    "where with a fixed condition": lambda x: (
        torch.where(CAUSAL[:4], x, -x) + torch.where(CAUSAL[:4], x, 7.0)
    ),
    "masked_fill": lambda x: x.masked_fill(x > 1, 5.0),
    "minimum and maximum": lambda x: torch.minimum(x, x * x) + torch.maximum(x, torch.tensor(0.3)),
    "clamp to a tensor": lambda x: torch.clamp(x, min=POSITIONS - 1, max=POSITIONS + 1),
    "positions": lambda x: (x + POSITIONS) * POSITIONS,
    "a larger constant": lambda x: x.mean(1, keepdim=True) + POSITIONS,
    "amax": lambda x: x.amax(1) + x.amin(1) + x.max(1).values + x.min(1).values,
    "sums": lambda x: x.logsumexp(-1) + x.norm(dim=-1) + x.norm(p=1, dim=-1) + x.prod(-1),
    "deviations": lambda x: x.std(-1) + x.var(1, keepdim=True).sum(-1) + x.var(-1, unbiased=False),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "normalize": lambda x: F.normalize(x, dim=-1),
}


class AllFunctions(nn.Module):
    """Exported once, as exporting takes most of the time."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(function(x) for function in FUNCTIONS.values())


@cache
def all_functions() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the graph and what the module makes of the same numbers, by function."""
    x = 2 * torch.randn(N, 4, 5, generator=torch.Generator().manual_seed(0))
    graph = load(AllFunctions().eval(), x[:1])
    assert not islands(graph)
    found, expected = run_float_all(graph, x.numpy()), AllFunctions()(x)
    return dict(zip(FUNCTIONS, found, strict=True)), dict(
        zip(FUNCTIONS, map(Tensor.numpy, expected), strict=True)
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_torch(name: str) -> None:
    found, expected = all_functions()
    np.testing.assert_allclose(found[name], expected[name], atol=1e-4, rtol=1e-4)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "layer norm": (lambda: nn.LayerNorm(5), (4, 5)),
    "layer norm over two axes": (lambda: nn.LayerNorm((4, 5)), (4, 5)),
    "layer norm without weights": (lambda: nn.LayerNorm(5, elementwise_affine=False), (4, 5)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (4, 3, 5)),
    "group norm of vectors": (lambda: nn.GroupNorm(2, 4), (4,)),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True), (4, 3, 5)),
    "instance norm with statistics": (lambda: nn.InstanceNorm1d(4, track_running_stats=True), (4, 6)),
    "RMS norm": (lambda: nn.RMSNorm(5), (4, 5)),
    "GLU": (lambda: nn.GLU(), (4, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_torch(name: str) -> None:
    build, shape = LAYERS[name]
    loaded(affine(build()), *shape)


def test_group_norm_between_convolutions_moves_no_bytes() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), affine(nn.GroupNorm(2, 4)), nn.Conv2d(4, 2, 3))
    graph = loaded(layers, 3, 8, 8)
    assert sum(node.op == "transpose" for node in graph.nodes) == 2  # of the input and the output


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "masked_fill": lambda x: x.masked_fill(~CAUSAL, float("-inf")),
    "where": lambda x: torch.where(CAUSAL, x, -1e9),
    "sum": lambda x: x + torch.zeros(5, 5).masked_fill(~CAUSAL, float("-inf")),
    "sum of large numbers": lambda x: x + torch.zeros(5, 5).masked_fill(~CAUSAL, -1e4),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_fixed_mask_belongs_to_the_softmax(name: str) -> None:
    graph = loaded(lambda x: torch.softmax(MASKS[name](x), -1), 2, 5, 5)
    assert [node.op for node in graph.nodes] == ["softmax"]
    lowered = integers_of(graph)
    x = random_integers(lowered, 4)
    y = native_plan(lowered).run(x)
    np.testing.assert_array_equal(y, run_integer(lowered, x))
    assert (y[:, :, ~CAUSAL.numpy()] == -128).all()
    assert (y[:, :, 0, 0] == 127).all()


def test_a_mask_that_is_read_otherwise_stays_finite() -> None:
    graph = load(Function(lambda x: x.masked_fill(~CAUSAL, float("-inf"))).eval(), torch.zeros(1, 5, 5))
    y = run_float(graph, np.ones((2, 5, 5), np.float32))
    assert np.isfinite(y).all()
    assert (y[:, ~CAUSAL.numpy()] < -3e38).all()


def test_a_constant_is_stored_once_and_in_the_networks_layout() -> None:
    positions = torch.randn(4, 6, 6)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), Function(lambda x: (x + positions) * positions))
    graph = loaded(layers, 3, 8, 8)
    assert sum(node.op == "transpose" for node in graph.nodes) == 2  # of the input and the output


ONNX: dict[str, Any] = {
    **{
        kind: op(kind)
        for kind in (
            *("Relu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Softplus", "Softsign", "Elu", "Selu"),
            *("Celu", "Erf", "Exp", "Abs", "Sin", "Cos", "Floor", "Ceil", "Round", "Sign", "Neg", "Atan"),
            *("ThresholdedRelu", "Shrink", "Gelu", "Mish", "Sinh", "Cosh", "Asinh", "LogSoftmax"),
            *("LeakyRelu", "LpNormalization"),
        )
    },
    "Gelu with tanh": op("Gelu", approximate="tanh"),
    "Elu with alpha": op("Elu", alpha=0.4),
    "Celu with alpha": op("Celu", alpha=0.4),
    "Shrink with a bias": op("Shrink", lambd=0.3, bias=0.2),
    "LpNormalization of order 1": op("LpNormalization", p=1),
    "LayerNormalization": op("LayerNormalization", "x row row", axis=-1),
    "LayerNormalization over both": op("LayerNormalization", "x table", axis=1),
    "RMSNormalization": op("RMSNormalization", "x row", axis=-1),
    "InstanceNormalization": op("InstanceNormalization", "x column column"),
    "GroupNormalization": op("GroupNormalization", "x column column", num_groups=2),
    "MeanVarianceNormalization": op("MeanVarianceNormalization", axes=[2]),
    **{
        f"Reduce{kind}": op(f"Reduce{kind}", "x axes", keepdims=number % 2)
        for number, kind in enumerate(
            ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")
        )
    },
    "Greater": [op("Greater", "x row", "c"), op("Where", "c x column1")],
    "LessOrEqual": [op("LessOrEqual", "x row", "c"), op("Not", "c", "d"), op("Cast", "d", to=1)],
    "Equal": [op("Round", "x", "r"), op("Equal", "r one", "c"), op("Where", "c row x")],
    "logic": [
        op("Greater", "x row", "a"),
        op("Less", "x one", "b"),
        op("And", "a b", "c"),
        op("Or", "c b", "d"),
        op("Xor", "d a", "e"),
        op("Where", "e x row"),
    ],
    "Where with a fixed condition": op("Where", "truth x table"),
    "Max": op("Max", "x row column1"),
    "Min": op("Min", "row x"),
    "Mean": op("Mean", "x row x"),
    "Div": [op("Exp", "x", "e"), op("Div", "row e")],
    "Mod": op("Mod", "x one", fmod=1),
    "Pow": [op("Abs", "x", "a"), op("Pow", "a half")],
    "Pow of a constant": op("Pow", "two x"),
    "Log": [op("Exp", "x", "e"), op("Log", "e", "l"), op("Sqrt", "e", "s"), op("Add", "l s")],
    "Reciprocal": [op("Exp", "x", "e"), op("Reciprocal", "e")],
    "a table added": op("Add", "x table"),
}
WEIGHTS = {
    "row": np.array([0.5, -0.7, 1.5, 0.3, 0.9], np.float32),
    "column": np.array([0.5, -0.7, 1.5, 0.3], np.float32),
    "column1": np.array([[0.5], [-0.7], [1.5], [0.3]], np.float32),
    "table": POSITIONS.numpy(),
    "truth": CAUSAL.numpy()[:4],
    "axes": integers(2),
    **{name: np.float32(value) for name, value in (("one", 1), ("half", 1.7), ("two", 2))},
}


@pytest.mark.parametrize("name", ONNX)
def test_operators_of_onnx(name: str, tmp_path: Path) -> None:
    require(find_spec("onnxruntime"), "onnxruntime")
    import onnxruntime

    nodes = ONNX[name] if isinstance(ONNX[name], list) else [ONNX[name]]
    opset = 23 if name == "RMSNormalization" else 18 if "Reduce" in name else 21
    used = {key: array for key, array in WEIGHTS.items() if any(key in node.input for node in nodes)}
    made = model(nodes, used, ("n", 4, 5), opset)
    made.ir_version = 10
    onnx.save(made, tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(N, 4, 5)).astype(np.float32)
    expected = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"x": x})[0]
    graph = load(tmp_path / "model.onnx")
    assert not islands(graph)
    np.testing.assert_allclose(run_float(graph, x), expected, atol=1e-4, rtol=1e-4)
