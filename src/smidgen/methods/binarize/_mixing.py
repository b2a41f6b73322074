"""Training in which a growing random share of weights and activations is signs (imported lazily: torch)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smidgen.formats import Binary, Format, Sparse
from smidgen.formats.scales import is_bfloat16
from smidgen.formats.twins import Twin
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.scan import SCANS, body_of
from smidgen.learn.hooks import FitState, Hook
from smidgen.learn.torch_ops import Weights
from smidgen.methods.binarize._bitwise import maker_of, signs_of_largest

LARGEST = 0.999  # of a latent's tanh: atanh of 1 is infinite
# What they make of signs in a bitwise cell is whole already: a sign behind them changes nothing.
WHOLE = ("add", "mul", "concat")


@dataclass
class Share:
    """How much is signs, 0..1: one for the whole network."""

    value: float = 0.0

    def mixed(self, smooth: Callable[[], Tensor], signs: Callable[[], Tensor]) -> Tensor:
        """Each element is of `signs` by that chance; what nothing is taken of is not computed."""
        if self.value in (0.0, 1.0):
            return signs() if self.value else smooth()
        made = smooth()
        return torch.where(torch.rand_like(made) < self.value, signs(), made)


class MixedTwin(Twin):
    """tanh(latent), a share of it as the signs that it will be frozen to."""

    def __init__(self, fmt: Format, share: Share) -> None:
        super().__init__()
        self.share = share
        self.sparsity = 1 - float(fmt.mask.mean()) if isinstance(fmt, Sparse) else 0.0
        compressed = torch.from_numpy(fmt.latent.copy()).clamp(-LARGEST, LARGEST)
        self.latent = nn.Parameter(torch.atanh(compressed))

    def weight(self) -> Tensor:
        smooth = torch.tanh(self.latent)
        return self.share.mixed(lambda: smooth, lambda: self._signs(smooth))

    def _signs(self, smooth: Tensor) -> Tensor:
        made = torch.from_numpy(self.freeze().decode()).to(smooth.device)
        return made + made.abs() * (smooth - smooth.detach())

    def freeze(self) -> Format:
        return signs_of_largest(torch.tanh(self.latent).detach().cpu().numpy(), self.sparsity)


class SmoothSign(torch.autograd.Function):
    """sign(x) with sign(0) = +1, whose gradient is that of tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2)


class SmoothStep(torch.autograd.Function):
    """[x > 0], whose gradient is twice that of the sigmoid."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        gate = torch.sigmoid(ctx.saved_tensors[0])
        return grads[0] * 2 * gate * (1 - gate)


# Sign -> what it starts as, and what it ends as.
FORMS: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "binarize": (torch.tanh, SmoothSign.apply),
    "step": (torch.sigmoid, SmoothStep.apply),
}


class MixedSign:
    """An operator of FORMS that is its smooth form in part."""

    def __init__(self, share: Share) -> None:
        self.share = share

    def __call__(self, node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
        smooth, hard = FORMS[node.op]
        return self.share.mixed(lambda: smooth(x[0]), lambda: hard(x[0]))


def unchanged(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    """A sign of what is +1, 0 or -1 in the end, and in between while training mixes."""
    return x[0]


class GrowingSigns(Hook):
    """Mixes all weights of one scale for all signs, and all signs but those of the network's input."""

    def __init__(self, share_at: Callable[[float], float]) -> None:
        self.share_at, self.share = share_at, Share()

    def on_fit_start(self, state: FitState) -> None:
        twin = state.twin
        self.share.value = self.share_at(0.0)
        for name, fmt in twin.graph.weights.items():
            if name in twin.weights and is_signs(fmt):
                twin.put(name, MixedTwin(fmt, self.share))
        mixed = MixedSign(self.share)
        twin.functions |= {node.name: mixed for node in smooth_signs(twin.graph)}
        cells = (body_of(node) for node in twin.graph.nodes if node.op in SCANS)
        twin.functions |= {node.name: unchanged for body in cells for node in whole_signs(body)}

    def on_step(self, state: FitState) -> None:
        self.share.value = self.share_at(state.t)

    def on_fit_end(self, state: FitState) -> None:
        self.share.value = 1.0


def is_signs(fmt: Format) -> bool:
    """True for signs of one scale that no BatchNorm was folded into, sparse or not."""
    inner = fmt.inner if isinstance(fmt, Sparse) else fmt
    return isinstance(inner, Binary) and inner.scale.size == 1 and is_bfloat16(inner.scale)


def smooth_signs(graph: Graph) -> Iterator[Node]:
    """The signs that start as something else, bitwise cells included; signs of the network's input stay."""
    for node in graph.nodes:
        if node.op in SCANS:
            body = body_of(node)
            whole = {inner.name for inner in whole_signs(body)}
            yield from (inner for inner in smooth_signs(body) if inner.name not in whole)
        elif node.op in FORMS and maker_of(graph, node.inputs[0]):
            yield node


def whole_signs(cell: Graph) -> Iterator[Node]:
    """The signs of a cell that only tie whole numbers to their grid."""
    for node in cell.nodes:
        maker = cell.producer(node.inputs[0]) if node.inputs else None
        if node.op in ("binarize", "sign") and maker and maker.op in WHOLE:
            yield node
