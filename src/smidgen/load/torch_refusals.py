"""Why a PyTorch module can't be loaded: the user's source line, what is wrong with it, and what to change."""

from __future__ import annotations

import linecache
import re
import traceback
from pathlib import Path
from typing import Any

import torch

from smidgen.errors import BadInput

_OURS = Path(__file__).resolve().parent.parent
_TORCH = Path(torch.__file__).resolve().parent
_TRACED = re.compile(r'File "([^"]+)", line (\d+), in [^\n]*')

# (what the line or the problem contains, what it does, what to change); the first one that fits counts.
_CAUSES = (
    (r"\.numpy\(|np\.|numpy", "it leaves torch for NumPy", "Use torch functions"),
    (r"\bprint\(", "it prints numbers of a tensor", "Remove the print"),
    (
        r"\.item\(|\.tolist\(|\bfloat\(|\bint\(|\bbool\(|\blen\(",
        "it takes a number out of a tensor",
        "Keep it a tensor: remove .item(), float(), int() and the like",
    ),
    (r"^\s*(while|for)\b", "it loops as often as the data say", "Use a fixed count, or torch.while_loop"),
    (
        r"^\s*(if|elif|assert)\b|\bif\b.*\belse\b",
        "its control flow depends on data",
        "Use torch.where, or torch.cond",
    ),
    (
        r"not a known type|register a pytree|unsupported.*type|Unsupported input type",
        "an input or output is of a type that torch can't take apart",
        "Use tensors, tuples, lists and dicts, or torch.export.register_dataclass(TYPE)",
    ),
    (
        r"data-dependent|unbacked|\[[^\]]*[<>=]=?|nonzero|masked_select",
        "the size of a tensor depends on data",
        "Use torch.where or a mask",
    ),
)


def untraceable(module: torch.nn.Module, problem: Exception) -> BadInput:
    """The error for a module that torch.export refuses."""
    where, line = _user_line(problem)
    found, remedy = _cause(line, str(problem))
    place = f" at {where}: `{line}`" if where else ""
    text = f"torch.export can't trace it{place} ({found})"
    return BadInput(type(module).__name__, text, "the model is a fixed sequence of operators", remedy)


def located(node: torch.fx.Node) -> str:
    """(model.py:12: `y = x[x > 0]`) for the operator, empty where torch does not know."""
    traced = _TRACED.findall(node.meta.get("stack_trace") or "")
    users = [(file, int(line)) for file, line in traced if _is_users(file)]
    if not users:
        return ""
    file, line = users[-1]
    return f" ({file}:{line}: `{linecache.getline(file, line).strip()}`)"


def _user_line(problem: BaseException | None) -> tuple[str, str]:
    """(file:line, its text) of the innermost frame of the user's own code, through all causes."""
    while problem is not None:
        frames = [f for f in traceback.extract_tb(problem.__traceback__) if _is_users(f.filename)]
        if frames:
            return f"{frames[-1].filename}:{frames[-1].lineno}", (frames[-1].line or "").strip()
        problem = problem.__cause__ or problem.__context__
    return "", ""


def _is_users(file: str) -> bool:
    path = Path(file)
    if not path.is_file() or "site-packages" in path.parts:
        return False
    return not any(path.resolve().is_relative_to(room) for room in (_OURS, _TORCH))


def _cause(line: str, problem: str) -> tuple[str, str]:
    for pattern, found, remedy in _CAUSES:
        if re.search(pattern, line) or re.search(pattern, problem):
            return found, remedy
    first = next((text.strip() for text in problem.splitlines() if text.strip()), "no reason is given")
    return first, "Write the line with tensor operations"


def refuse_unreadable(module: torch.nn.Module) -> None:
    """Raise BadInput for modules that hold no Python code or no numbers."""
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        remedy = "Pass the Python module that was scripted or traced, with the same weights"
        raise BadInput(name, "a TorchScript module", "torch.export reads Python modules", remedy)
    empty = [key for key, tensor in module.state_dict().items() if _is_empty(tensor)]
    if empty:
        found = f"{empty[0]} is on the meta device, which holds no numbers"
        raise BadInput(name, found, "trained weights are needed", "Load the weights into it first")


def _is_empty(tensor: Any) -> bool:
    return isinstance(tensor, torch.Tensor) and tensor.device.type == "meta"
