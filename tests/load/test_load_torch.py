"""PyTorch modules and .pt2 files: the graph computes what the module does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import FLOAT_FUNCTIONS, run_float
from smidgen.run.interpreter import interpret_chunks
from smidgen.run.islands import islands
from tests.load.torch_networks import NETWORKS, Attention, network, ready

torch.set_num_threads(1)
N = 3


class Function(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x: Tensor) -> Tensor:
        return self.function(*x)


def agree(graph: Graph, module: nn.Module, *x: Tensor) -> None:
    with torch.no_grad():
        expected = module.eval()(*x).numpy()
    found = run_float(graph, x[0].numpy() if len(x) == 1 else [a.numpy() for a in x])
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def loaded(module: nn.Module, *shape: int) -> Graph:
    """The module's graph, which must agree with the module on random inputs."""
    torch.manual_seed(0)
    x = 2 * torch.randn(N, *shape)
    graph = load(ready(module), x[:1])
    agree(graph, module, x)
    return graph


def transposes(graph: Graph) -> int:
    return sum(node.op == "transpose" for node in graph.nodes)


@cache
def loaded_network(name: str) -> Graph:
    return load(*network(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_what_the_module_does(name: str) -> None:
    agree(loaded_network(name), *network(name))
    assert not islands(loaded_network(name))


@pytest.mark.parametrize(
    ("name", "expected"), [("lenet", 0), ("resnet8", 1), ("mobilenet", 1), ("sequence", 1)]
)
def test_only_the_transpose_at_the_input_remains(name: str, expected: int) -> None:
    graph = loaded_network(name)
    assert transposes(graph) == expected
    assert graph.values[graph.inputs[0]].shape == NETWORKS[name][1]


CAPTURED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear on a sequence": (nn.Linear(4, 5, bias=False), (6, 4)),
    "conv1d same": (nn.Conv1d(3, 4, 4, padding="same", dilation=2), (3, 9)),
    "conv2d valid": (nn.Conv2d(3, 4, (3, 2), padding="valid", stride=(2, 1)), (3, 7, 6)),
    "conv2d grouped": (nn.Conv2d(4, 6, 3, (2, 1), (1, 0), (1, 2), groups=2), (4, 7, 6)),
    "conv of computed weights": (nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3)), (3, 9)),
    "batch norm of vectors": (nn.BatchNorm1d(5), (5,)),
    "batch norm without affine": (nn.BatchNorm2d(5, affine=False), (5, 3, 3)),
    "max pool with ceil": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 6, 7)),
    "avg pool counts padding": (nn.AvgPool2d(3, 2, 1), (2, 7, 6)),
    "avg pool ignores padding": (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 6, 7)),
    "adaptive avg pool": (nn.AdaptiveAvgPool2d((2, 3)), (2, 4, 6)),
    "adaptive max pool": (nn.AdaptiveMaxPool2d(1), (2, 4, 6)),
    "activations": (nn.Sequential(nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.ReLU6(), nn.SiLU()), (40,)),
    "hard activations": (nn.Sequential(nn.Hardswish(), nn.Hardsigmoid()), (40,)),
    "hardtanh": (nn.Hardtanh(-0.5, 2.0), (4,)),
    "clamp from below": (Function(lambda x: x.clamp(min=-0.5)), (4,)),
    "clamp from above": (Function(lambda x: x.clamp(max=0.5)), (4,)),
    "leaky relu": (nn.LeakyReLU(0.2), (3, 4)),
    "prelu": (nn.PReLU(3, 0.3), (3, 4, 2)),
    "softmax over channels": (nn.Softmax(1), (3, 4, 2)),
    "softmax over the last axis": (nn.Softmax(-1), (3, 4)),
    "mean keeping axes": (Function(lambda x: x.mean((1, -1), keepdim=True)), (3, 4, 2)),
    "sum": (Function(lambda x: x.sum(2)), (3, 4, 2)),
    "concat": (Function(lambda x: torch.cat([x, 2 * x, x], 2)), (3, 4, 2)),
    "permute": (Function(lambda x: x.permute(0, 3, 1, 2)), (3, 4, 2)),
    "transpose": (Function(lambda x: x.transpose(-1, 1)), (3, 4, 2)),
    "unsqueeze and squeeze": (Function(lambda x: x.unsqueeze(2).squeeze(2).unsqueeze(-1)), (3, 4)),
    "unflatten": (nn.Unflatten(1, (2, 3)), (6, 2)),
    "constant pad": (nn.ConstantPad2d((1, 0, 2, 3), 1.5), (2, 3, 4)),
    "pad channels": (Function(lambda x: F.pad(x, (0, 0, 0, 0, 1, 2))), (2, 3, 4)),
    "add a number": (Function(lambda x: 1 + x), (2, 3)),
    "subtract": (Function(lambda x: (x - 1) - x * x), (2, 3)),
    "subtract from a number": (Function(lambda x: 1 - x), (2, 3)),
    "scaled addition": (Function(lambda x: torch.add(x, torch.relu(x), alpha=3)), (2, 3)),
    "divide": (Function(lambda x: x / torch.tensor([2.0, 3.0, 4.0])), (2, 3)),
    "negate": (Function(lambda x: -x), (2, 3)),
    "square": (Function(lambda x: x**2), (2, 3)),
    "constants per channel": (Function(lambda x: x * torch.arange(3.0).reshape(3, 1, 1)), (3, 2, 4)),
    "a constant per element": (Function(lambda x: x + torch.arange(6.0).reshape(1, 2, 3)), (2, 3)),
    "matrix product": (Function(lambda x: x @ torch.arange(6.0).reshape(3, 2)), (2, 3)),
    "in place": (Function(lambda x: torch.relu(x).add_(1).mul_(2)), (2, 3)),
    "a number a sample": (Function(lambda x: x.mean(1)), (3,)),
    "one broadcast to many": (Function(lambda x: x * x.mean((2, 3), keepdim=True).expand_as(x)), (2, 3, 4)),
}


@pytest.mark.parametrize("case", CAPTURED)
def test_operators_are_captured(case: str) -> None:
    module, shape = CAPTURED[case]
    assert not islands(loaded(module, *shape))


ISLANDS: dict[str, tuple[nn.Module, tuple[int, ...], str]] = {
    "gamma function": (Function(torch.lgamma), (4,), "aten.lgamma"),
    "an order": (Function(lambda x: x.cumsum(-1)), (3, 4), "aten.cumsum"),
    "uneven adaptive pool": (nn.AdaptiveAvgPool2d(2), (2, 3, 4), "aten.adaptive_avg_pool2d"),
    "dilated pool": (nn.MaxPool2d(2, dilation=2), (2, 6, 6), "aten.max_pool2d"),
    "two results": (Function(lambda x: torch.mul(*torch.var_mean(x, 1))), (4, 3), "aten.var_mean"),
    "whole numbers": (Function(lambda x: x * (x > 0).int()), (4,), "aten._to_copy"),
    "a computed exponent": (Function(lambda x: (x * x) ** x), (4,), "aten.pow"),
}


@pytest.mark.parametrize("case", ISLANDS)
def test_what_the_graph_lacks_becomes_a_listed_island(case: str) -> None:
    module, shape, source = ISLANDS[case]
    found = islands(loaded(module, *shape))
    assert source in {island.source for island in found}
    assert all(island.reason and island.remedy for island in found)


def test_attention_with_a_batch_that_is_not_first_is_captured() -> None:
    graph = loaded(Attention(), 3, 8, 8)
    assert not islands(graph)


def test_several_inputs_and_outputs() -> None:
    module = Function(lambda a, b: (a + b, torch.relu(b)))
    a, b = torch.randn(2, N, 4, 3)
    graph = load(module, (a, b))
    assert len(graph.inputs) == len(graph.outputs) == 2
    found = interpret_chunks(graph, [a.numpy(), b.numpy()], FLOAT_FUNCTIONS, lambda name: np.zeros(0))
    np.testing.assert_allclose(found[0], a + b)
    np.testing.assert_allclose(found[1], torch.relu(b))


def test_weights_keep_the_users_names() -> None:
    graph = loaded_network("resnet8")
    parameters = {name for name, _ in network("resnet8")[0].named_parameters()}
    assert parameters <= set(graph.weights)
    assert graph.node("blocks.1.conv1").params == {"weight": "blocks.1.conv1.weight"}


def test_a_convolutions_weight_is_stored_channels_last() -> None:
    conv = nn.Conv2d(2, 3, (4, 5))
    weight = loaded(conv, 2, 6, 7).weights["weight"].decode()
    np.testing.assert_array_equal(weight, conv.weight.detach().permute(0, 2, 3, 1))


def test_tied_weights_are_stored_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(self.a(x)))

    graph = loaded(Tied(), 4)
    assert len({node.params["weight"] for node in graph.nodes if node.op == "linear"}) == 1
    assert len(graph.weights) == 3


def test_loading_leaves_the_module_in_its_mode() -> None:
    module, x = network("sequence")
    module.train()
    module.net[1].eval()
    load(module, x)
    assert module.training
    assert not module.net[1].training


def test_a_model_that_fixes_its_batch_is_read_for_a_batch_of_one() -> None:
    module = Function(lambda x: torch.relu(x).reshape(1, 12))
    graph = load(module, torch.zeros(1, 3, 4))
    x = torch.randn(N, 3, 4)
    np.testing.assert_array_equal(run_float(graph, x.numpy()), torch.relu(x).reshape(N, 12))


@pytest.mark.parametrize(("batch", "operators"), [("free", "core"), ("fixed", "as exported")])
def test_pt2_files(tmp_path: Path, batch: str, operators: str) -> None:
    module, x = network("sequence")
    example = x if batch == "free" else x[:1]
    shapes = ({0: torch.export.Dim("n")},) if batch == "free" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (example,), dynamic_shapes=shapes)
        program = program.run_decompositions() if operators == "core" else program
        torch.export.save(program, tmp_path / "model.pt2")
    graph = load(tmp_path / "model.pt2")
    agree(graph, module, x)
    assert not islands(graph)
    assert transposes(graph) == 1


def test_a_module_needs_an_example() -> None:
    with pytest.raises(BadInput, match="Linear: no example input"):
        load(nn.Linear(2, 3))


def test_an_example_that_does_not_fit_is_named() -> None:
    with pytest.raises(BadInput, match=r"Linear: it fails on the example input \[1, 5\]"):
        load(nn.Linear(2, 3), np.zeros((1, 5), np.float32))


def test_weights_must_be_finite() -> None:
    module = nn.Sequential(nn.Linear(2, 3))
    module[0].weight.data[0, 0] = float("nan")
    with pytest.raises(BadInput, match=r"0\.weight: the weight has NaN"):
        load(module, torch.zeros(1, 2))


def test_control_flow_that_depends_on_data_is_refused() -> None:
    with pytest.raises(BadInput, match=r"Function: torch\.export can't trace it"):
        load(Function(lambda x: x if x.sum() > 0 else -x), torch.zeros(1, 2))


def test_an_output_that_mixes_samples_is_refused() -> None:
    with pytest.raises(BadInput, match="none of its dimensions is the batch"):
        load(Function(lambda x: x.sum(0)), torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["resnet8", "mobilenet", "shuffle"])
def test_onnx_files_that_torch_wrote(name: str, tmp_path: Path) -> None:
    module, x = network(name)
    free = {"x": {0: "batch"}, "y": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(module, (x,), tmp_path / "model.onnx"),
            **{"dynamo": False, "input_names": ["x"], "output_names": ["y"], "dynamic_axes": free},
        )
    graph = load(tmp_path / "model.onnx")
    agree(graph, module, x)
    assert not islands(graph)
    assert transposes(graph) == transposes(loaded_network(name))
