"""Reading torch.fx nodes."""

from __future__ import annotations

import operator

import torch
from torch.fx import Node


def packet(node: Node) -> str:
    """`conv2d` for aten.conv2d.default."""
    target = node.target
    return str(target._schema.name).split("::")[-1] if isinstance(target, torch._ops.OpOverload) else ""


def items(node: Node) -> set[int]:
    """Which items of a tuple are read."""
    return {user.args[1] for user in node.users if user.target is operator.getitem and user.users}  # type: ignore[misc]


def label(node: Node) -> str:
    """The path of the module that made the operator (`layer1.0.conv1`), else the operator's own name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    path = str(path).removeprefix("L['self'].").removeprefix("L['self']")
    if not path:
        return node.name
    return path if str(kind).startswith("torch.nn.") else f"{path}.{node.name}"
