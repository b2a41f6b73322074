"""Torch products, attention, transposed convolutions, resizing and moves: captured, equal to the module."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.graph import Graph
from smidgen.load import load
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.islands import islands
from tests.load.torch_networks import ready
from tests.networks import noise_like

torch.set_num_threads(1)
N, WIDTH, HEADS = 3, 8, 2
IMAGE, SEQUENCE = (4, 5, 6), (6, WIDTH)


class Function(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class SelfAttention(nn.Module):
    """nn.MultiheadAttention, which joins the batch with the heads, or with the steps."""

    def __init__(self, weights: bool, causal: bool = False, batch_first: bool = True) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first)
        self.weights, self.causal = weights, causal

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(6, 6, dtype=torch.bool).triu(1) if self.causal else None
        out: Tensor = self.attention(x, x, x, need_weights=self.weights, attn_mask=mask)[0]
        return out


class Projected(nn.Module):
    """Attention as most code writes it: one projection, split into queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, steps, width = x.shape
        parts = self.first(x).view(n, steps, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.last(mixed.transpose(1, 2).reshape(n, steps, width))
        return out


def agree(module: nn.Module, *shape: int, batch_axis: int = 0) -> Graph:
    """The module's graph, which must agree with the module on random inputs."""
    torch.manual_seed(0)
    x = 2 * torch.randn(N, *shape).movedim(0, batch_axis)
    graph = load(ready(module), x.narrow(batch_axis, 0, 1), batch_axes=batch_axis)
    with torch.no_grad():
        expected = module.eval()(x).movedim(batch_axis, 0).numpy()
    found = run_float(graph, x.movedim(batch_axis, 0).contiguous().numpy())
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    return graph


MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), IMAGE),
    "transposed groups": (nn.ConvTranspose2d(4, 6, (3, 2), (1, 3), (2, 0), dilation=(2, 1), groups=2), IMAGE),
    "transposed deep padding": (nn.ConvTranspose2d(4, 6, 2, stride=2, padding=2), IMAGE),
    "transposed sequence": (nn.ConvTranspose1d(4, 4, 4, 2, 1, groups=4, bias=False), (4, 9)),
    "attention": (Projected(), SEQUENCE),
    "multi-head": (SelfAttention(weights=False), SEQUENCE),
    "multi-head with weights": (SelfAttention(weights=True), SEQUENCE),
    "multi-head causal": (SelfAttention(weights=False, causal=True), SEQUENCE),
    "multi-head causal with weights": (SelfAttention(weights=True, causal=True), SEQUENCE),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_captured(name: str) -> None:
    module, shape = MODULES[name]
    assert not islands(agree(module, *shape))


def test_attention_over_time_major_sequences_is_captured() -> None:
    module = SelfAttention(weights=False, batch_first=False)
    assert not islands(agree(module, *SEQUENCE, batch_axis=1))


LEFT, RIGHT = torch.linspace(-1, 1, 30).view(5, 6), torch.linspace(-1, 1, 40).view(8, 5)
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "product": (lambda x: x @ x.transpose(1, 2), SEQUENCE),
    "constant first": (lambda x: LEFT @ x, SEQUENCE),
    "vector": (lambda x: torch.matmul(x, torch.ones(8)), SEQUENCE),
    "bmm": (lambda x: torch.bmm(x, x.transpose(1, 2)), SEQUENCE),
    "baddbmm": (lambda x: torch.baddbmm(x, x, x, beta=0.5, alpha=0.25), (6, 6)),
    "einsum weight": (lambda x: torch.einsum("nij,jk->nik", x, RIGHT), SEQUENCE),
    "einsum heads": (lambda x: torch.einsum("nhij,nhkj->nhik", x, x), IMAGE),
    "einsum turned": (lambda x: torch.einsum("bij,bkj->bki", x, x), SEQUENCE),
    "flip": (lambda x: x.flip(1, 2), SEQUENCE),
    "roll": (lambda x: x.roll((1, -2), (1, 2)), SEQUENCE),
    "repeat": (lambda x: x.repeat(1, 2, 3), SEQUENCE),
    "tile": (lambda x: x.tile(1, 2, 1), SEQUENCE),
    "repeat interleave": (lambda x: x.repeat_interleave(2, 1), SEQUENCE),
    "index": (lambda x: x[:, [0, 2, 2]], SEQUENCE),
    "index select": (lambda x: x.index_select(2, torch.tensor([3, 1])), SEQUENCE),
    "expand": (lambda x: x[:, None].expand(-1, 3, -1, -1), SEQUENCE),
    "chunk": (lambda x: torch.cat(x.chunk(2, 1), 2), SEQUENCE),
    "stack": (lambda x: torch.stack(x.unbind(1), 2), SEQUENCE),
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), (8, 3, 4)),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), (2, 6, 4)),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), IMAGE),
    "nearest to a size": (lambda x: F.interpolate(x, size=(7, 3)), IMAGE),
    "nearest exact": (lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"), IMAGE),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), IMAGE),
    "bilinear corners": (lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True), IMAGE),
    "bicubic": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), IMAGE),
    "linear": (lambda x: F.interpolate(x, scale_factor=3, mode="linear"), (3, 4)),
    "reflect": (lambda x: F.pad(x, (1, 2, 2, 0), mode="reflect"), IMAGE),
    "replicate": (lambda x: F.pad(x, (1, 2, 2, 0), mode="replicate"), IMAGE),
    "circular": (lambda x: F.pad(x, (1, 2, 2, 0), mode="circular"), IMAGE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_captured(name: str) -> None:
    function, shape = FUNCTIONS[name]
    assert not islands(agree(Function(function), *shape))


def test_products_across_the_batch_become_islands() -> None:
    graph = agree(
        Function(lambda x: x + torch.einsum("nij,nkj->nik", x, x.cumsum(1)).sum(2, keepdim=True)), *SEQUENCE
    )
    assert {island.source for island in islands(graph)} == {"aten.cumsum"}


def test_a_transformer_encoder_has_integer_products_and_softmax() -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True)
    graph = agree(layer, *SEQUENCE)
    assert not islands(graph)
    lowered = lower(AffineQuantization().apply(graph, Context(noise_like(graph), graph)))
    ops = [node.op for node in lowered.nodes]
    assert ops.count("q.matmul") == 2
    assert ops.count("q.softmax") == 1
    assert not {"matmul", "softmax", "linear"} & set(ops)


@pytest.mark.parametrize("weights", [False, True])
def test_exported_attention_is_captured(weights: bool, tmp_path: Path) -> None:
    """What the older ONNX exporter of torch makes: reshapes that join the batch with other axes."""
    torch.manual_seed(0)
    module, x = SelfAttention(weights).eval(), torch.randn(N, *SEQUENCE)
    path = tmp_path / "attention.onnx"
    axes = {"x": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), str(path), dynamo=False, input_names=["x"], dynamic_axes=axes)
    graph = load(path)
    assert not islands(graph)
    with torch.no_grad():
        np.testing.assert_allclose(run_float(graph, x.numpy()), module(x).numpy(), atol=1e-5)
