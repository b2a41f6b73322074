"""The float operators in torch, channels last like the graph, for training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smidgen.formats.twins import round_half_up_ste
from smidgen.graph import Node
from smidgen.graph.activations import UNIPOLAR
from smidgen.graph.core import Value
from smidgen.graph.overwrite import Overwrite, overwritten

Weights = Mapping[str, Tensor]
TorchFunction = Callable[[Node, Sequence[Tensor], Weights, Value], Tensor]


def _first(x: Tensor) -> Tensor:
    """Channels behind the batch axis, as torch's convolutions want them."""
    return x.movedim(-1, 1)


def _last(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


def _padded(x: Tensor, padding: Sequence[Sequence[int]], value: float) -> Tensor:
    """Pad the spatial axes of a channels-first tensor; F.pad counts axes from the last."""
    if not any(n for pair in padding for n in pair):
        return x
    return F.pad(x, list(chain.from_iterable(tuple(pair) for pair in reversed(padding))), value=value)


def _linear(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    return F.linear(x[0], w["weight"], w.get("bias"))


def _conv(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a = node.attrs
    convolution = F.conv1d if len(a["stride"]) == 1 else F.conv2d
    inner = _padded(_first(x[0]), a["padding"], 0.0)
    weight = _first(w["weight"])
    y = convolution(inner, weight, w.get("bias"), a["stride"], 0, a["dilation"], a["groups"])
    return _last(y)


def _max_pool(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a = node.attrs
    pool = F.max_pool1d if len(a["stride"]) == 1 else F.max_pool2d
    return _last(pool(_padded(_first(x[0]), a["padding"], -torch.inf), a["kernel"], a["stride"]))


def _avg_pool(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a = node.attrs
    pool = F.avg_pool1d if len(a["stride"]) == 1 else F.avg_pool2d
    inner = _first(x[0])
    mean = pool(_padded(inner, a["padding"], 0.0), a["kernel"], a["stride"])
    if not a["count_padding"] and any(n for pair in a["padding"] for n in pair):
        inside = _padded(torch.ones_like(inner[:1, :1]), a["padding"], 0.0)
        mean = mean / pool(inside, a["kernel"], a["stride"])
    return _last(mean)


def _mean(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    return x[0].mean(dim=[axis + 1 for axis in node.attrs["axes"]], keepdim=node.attrs["keepdims"])


def _reduce_max(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    return x[0].amax(dim=[axis + 1 for axis in node.attrs["axes"]], keepdim=node.attrs["keepdims"])


def _normalize(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    axes = [axis + 1 for axis in node.attrs["axes"]]
    centred = x[0] - x[0].mean(dim=axes, keepdim=True) if node.attrs["centered"] else x[0]
    variance = centred.square().mean(dim=axes, keepdim=True)
    y = centred * torch.rsqrt(variance + node.attrs["epsilon"])
    y = y * w["gamma"] if "gamma" in w else y
    return y + w["beta"] if "beta" in w else y


def _softmax(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    if "mask" not in w:
        return F.softmax(x[0], dim=-1)
    kept = w["mask"] != 0
    lowest = torch.finfo(x[0].dtype).min
    return F.softmax(x[0].masked_fill(~kept, lowest), dim=-1) * kept


def _pad(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    flat = list(chain.from_iterable(reversed(node.attrs["pads"])))
    return F.pad(x[0], flat, value=node.attrs["value"])


def _trees(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    """Leaves and bias have gradients; which leaf is reached has none. See graph/trees.py."""
    rows, tree = torch.arange(len(x[0]), device=x[0].device)[:, None], w["tree"]
    split = tree[:, 0].expand(len(x[0]), -1)
    leaf = torch.full_like(split, -1)
    while bool((leaf < 0).any()):
        right = x[0][rows, w["feature"][split]] > w["threshold"][split]
        step = w["children"][split, right.long()]
        leaf = torch.where((leaf < 0) & (step <= 0), tree[:, 1] - step, leaf)
        split = split + torch.where(leaf < 0, step, 0)
    columns = tree[:, 2, None] + torch.arange(w["leaf"].shape[1], device=tree.device)
    found = w["leaf"][leaf].flatten(1)
    return w["bias"].expand(len(x[0]), -1).index_add(1, columns.flatten(), found)


def _aligned(x: Sequence[Tensor]) -> list[Tensor]:
    rank = max(t.dim() for t in x)
    return [t.reshape(t.shape[0], *(1,) * (rank - t.dim()), *t.shape[1:]) for t in x]


def _add(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a, b = _aligned(x)
    return a + b


def _sub(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a, b = _aligned(x)
    return a - b


def _mul(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a, b = _aligned(x)
    return a * b


def _matmul(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a, b = _aligned(x)
    return torch.matmul(a * float(node.attrs["scale"]), b)


def _spread(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    y = x[0].new_zeros((len(x[0]), *out.shape))
    y[(slice(None), *(slice(None, None, step) for step in node.attrs["steps"]))] = x[0]
    return y


def _gather(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    return x[0].index_select(node.attrs["axis"] + 1, w["indices"].long())


def _slice(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    a = node.attrs
    return x[0][(slice(None),) * (a["axis"] + 1) + (slice(a["start"], a["stop"], a["step"]),)]


def _embedding(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    """Rows by (rounded, clamped) index, as the interpreter takes them; the index has no gradient."""
    rows = x[0].detach().round().clamp(0, len(w["weight"]) - 1).long()
    return F.embedding(rows, w["weight"])


def _elementwise(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda node, x, w, out: function(x[0])


def per_sample(x: Tensor, samples: int) -> Tensor:
    """`x` [samples, ..]; a constant [1, ..] is repeated, without a copy."""
    return x.expand(samples, *x.shape[1:])


class Binarize(torch.autograd.Function):
    """+1 where x >= 0, else -1; the gradient passes where |x| <= 1.

    Ref: Courbariaux et al. 2016 (arXiv 1602.02830), eq. 4.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() <= 1)


def _unipolar(bits: int) -> Callable[[Tensor], Tensor]:
    """Rounded to 2^bits values in [0, 1]; the gradient passes inside."""
    most = 2**bits - 1
    return lambda x: round_half_up_ste(torch.clamp(x, 0.0, 1.0) * most) / most


def _overwrite(node: Node, x: Sequence[Tensor], w: Weights, out: Value) -> Tensor:
    """What the lanes hold; the gradient passes as if every value had room. Real numbers have."""
    if out.grid is None:
        return x[0]
    codes = out.grid.quantize(x[0].detach().cpu().numpy()) - out.grid.zero
    held = overwritten(codes, Overwrite.of(node.attrs)) * out.grid.scale
    return x[0] + (torch.from_numpy(held).to(x[0]) - x[0]).detach()


def _gelu_polynomial(x: Tensor) -> Tensor:
    """See graph/activations.py."""
    u = x / math.sqrt(2)
    parabola = 1 - 0.2888 * (u.abs().clamp_max(1.769) - 1.769) ** 2
    return 0.5 * x * (1 + u.sign() * parabola)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    **{name: getattr(F, name) for name in ("relu", "relu6", "hardsigmoid", "hardswish", "gelu", "silu")},
    **{name: getattr(F, name) for name in ("mish", "softplus", "softsign", "elu", "selu")},
    **{name: getattr(torch, name) for name in ("sigmoid", "tanh", "erf", "exp", "log", "sqrt", "rsqrt")},
    **{name: getattr(torch, name) for name in ("reciprocal", "abs", "sin", "cos", "tan", "asin", "acos")},
    **{name: getattr(torch, name) for name in ("atan", "sinh", "cosh", "asinh", "acosh", "atanh", "floor")},
    **{name: getattr(torch, name) for name in ("ceil", "round", "sign")},
    "gelu_polynomial": _gelu_polynomial,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "binarize": Binarize.apply,
    **{name: _unipolar(bits) for name, bits in UNIPOLAR.items()},
    "step": lambda x: (x > 0).to(x.dtype),
}

TORCH_FUNCTIONS: Mapping[str, TorchFunction] = {
    "linear": _linear,
    "conv": _conv,
    **{name: _elementwise(function) for name, function in ACTIVATIONS.items()},
    "softmax": _softmax,
    "normalize": _normalize,
    "constant": lambda node, x, w, out: w["value"][None],
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "mean": _mean,
    "reduce_max": _reduce_max,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "matmul": _matmul,
    "add_constant": lambda node, x, w, out: x[0] + w["constant"],
    "mul_constant": lambda node, x, w, out: x[0] * w["constant"],
    "concat": lambda node, x, w, out: torch.cat(list(x), dim=node.attrs["axis"] + 1),
    "reshape": lambda node, x, w, out: x[0].reshape(x[0].shape[0], *out.shape),
    "transpose": lambda node, x, w, out: x[0].permute(0, *(axis + 1 for axis in node.attrs["perm"])),
    "pad": _pad,
    "slice": _slice,
    "spread": _spread,
    "gather": _gather,
    "overwrite": _overwrite,
    "embedding": _embedding,
    "trees": _trees,
}
