"""Example inputs of PyTorch modules: tuples, lists, dicts and registered classes of tensors, nested."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from smidgen.errors import BadInput


@dataclass(frozen=True)
class Example:
    """What forward is called with, tensors in float32 on the CPU where they are real numbers."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, in the order in which the network will take them."""
        return [
            leaf for leaf in pytree.tree_leaves((self.args, dict(self.kwargs))) if isinstance(leaf, Tensor)
        ]

    def map(self, change: Callable[[Tensor, int], Tensor]) -> Example:
        """With `change(tensor, number)` in the place of each tensor."""
        leaves, spec = pytree.tree_flatten((self.args, dict(self.kwargs)))
        numbers = iter(range(len(leaves)))
        made = [change(x, next(numbers)) if isinstance(x, Tensor) else x for x in leaves]
        return Example(*pytree.tree_unflatten(made, spec))


def example_of(module: torch.nn.Module, given: Any) -> Example:
    """`given` is a batch, a tuple or list of forward's arguments, or a dict of them by name.

    Raises:
        BadInput: something in it is no batch [n, ...].
    """
    if isinstance(given, Mapping) and _are_arguments(module, given):
        args, kwargs = (), dict(given)
    else:
        args, kwargs = tuple(given) if type(given) in (tuple, list) else (given,), {}
    where = type(module).__name__
    leaves, spec = pytree.tree_flatten((args, kwargs), is_leaf=lambda x: isinstance(x, np.ndarray))
    example = Example(*pytree.tree_unflatten([_leaf(x, where) for x in leaves], spec))
    if not example.tensors:
        raise BadInput(where, "the example input has no tensor", "a batch [n, ...] is needed")
    return example


def batch_axes_of(given: Sequence[int] | int, tensors: Sequence[Tensor], where: str) -> tuple[int, ...]:
    """Where each tensor has its batch. Raises BadInput."""
    axes = (given,) * len(tensors) if isinstance(given, int) else tuple(given)
    if len(axes) != len(tensors):
        expected = "one an input, or one for all"
        raise BadInput(where, f"{len(axes)} batch axes for {len(tensors)} inputs", expected)
    for axis, x in zip(axes, tensors, strict=True):
        if not 0 <= axis < x.ndim:
            raise BadInput(where, f"batch axis {axis} of an input {list(x.shape)}", f"0 to {x.ndim - 1}")
    return axes


def output_names(spec: pytree.TreeSpec | None, count: int) -> tuple[str, ...]:
    """Names for outputs that the module returns by name (`logits`, `heads.0`); empty for plain tuples."""
    if spec is None:
        return ()
    paths, _ = pytree.tree_flatten_with_path(pytree.tree_unflatten(list(range(spec.num_leaves)), spec))
    keys = [[_key(step) for step in path] for path, _ in paths]
    named = any(not key.isdigit() for path in keys for key in path)
    return tuple(".".join(path) for path in keys)[:count] if named else ()


def _key(step: Any) -> str:
    return str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", step))))


def _are_arguments(module: torch.nn.Module, given: Mapping[Any, Any]) -> bool:
    known = inspect.signature(module.forward).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    return bool(given) and all(isinstance(key, str) and (key in known or takes_any) for key in given)


def _leaf(x: Any, where: str) -> Any:
    """A tensor of the network's own precision; plain numbers, strings and None stay settings."""
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    try:
        tensor = torch.as_tensor(x).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as problem:
        remedy = "Use tensors in tuples, lists and dicts, or torch.export.register_dataclass(TYPE)"
        raise BadInput(
            where, f"an example input of type {type(x).__name__}", "a batch [n, ...]", remedy
        ) from problem
    if tensor.ndim < 1 or tensor.shape[0] < 1:
        found = f"an example input of shape {list(tensor.shape)}"
        raise BadInput(where, found, "a batch [n, ...] with n >= 1 is needed")
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor
