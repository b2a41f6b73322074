"""PyTorch modules and `.pt2` files, through torch.export, as graphs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram, ShapesCollection

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load.aten_walk import Walk
from smidgen.load.finish import finish
from smidgen.load.pt2_file import read_program


def load_module(module: torch.nn.Module, example: Any, batch_axes: Sequence[int] | int = 0) -> Graph:
    """Capture a module in evaluation mode. `example` is a batch, or a tuple of them."""
    given = example if isinstance(example, (tuple, list)) else (example,)
    inputs = tuple(_as_tensor(x, module) for x in given)
    where = type(module).__name__
    axes = _axes(batch_axes, inputs, where)
    with _evaluation(module), torch.no_grad(), _quiet():
        try:
            module(*inputs)
        except Exception as problem:
            shapes = ", ".join(str(list(x.shape)) for x in inputs)
            raise BadInput(
                where,
                f"it fails on the example input {shapes} ({_first_line(problem)})",
                "the example is a batch that the model accepts",
                "Pass an example_input of the shape [n, ...] that forward takes",
            ) from problem
        return finish(Walk(_export(module, inputs, axes, where), where).run())


def load_pt2(path: Path) -> Graph:
    """Load what torch.export.save wrote."""
    with torch.no_grad(), _quiet():
        return finish(Walk(read_program(path), path.stem).run())


def _export(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], axes: Sequence[int], where: str
) -> ExportedProgram:
    """Export for any batch size; where the model itself fixes it, for a batch of one."""
    one = tuple(x.narrow(axis, 0, 1).clone() for x, axis in zip(inputs, axes, strict=True))
    pair = tuple(torch.cat([x, x], axis) for x, axis in zip(one, axes, strict=True))
    batch, free = Dim("batch"), ShapesCollection()  # type: ignore[no-untyped-call]
    for x, axis in zip(pair, axes, strict=True):
        free[x] = {axis: batch}  # whatever the signature of forward looks like
    try:
        return torch.export.export(module, pair, dynamic_shapes=free)  # type: ignore[arg-type]
    except Exception as problem:
        refusal = problem
    try:
        if not any(axes):
            return torch.export.export(module, one)
    except Exception as problem:
        refusal = problem
    found = f"torch.export can't trace it ({_first_line(refusal)})"
    remedy = "Remove control flow that depends on data"
    raise BadInput(where, found, "the model is a fixed sequence of operators", remedy) from refusal


def _axes(given: Sequence[int] | int, inputs: Sequence[torch.Tensor], where: str) -> tuple[int, ...]:
    axes = (given,) * len(inputs) if isinstance(given, int) else tuple(given)
    if len(axes) != len(inputs):
        raise BadInput(
            where, f"{len(axes)} batch axes for {len(inputs)} inputs", "one an input, or one for all"
        )
    for axis, x in zip(axes, inputs, strict=True):
        if not 0 <= axis < x.ndim:
            raise BadInput(where, f"batch axis {axis} of an input {list(x.shape)}", f"0 to {x.ndim - 1}")
    return axes


def _as_tensor(x: Any, module: torch.nn.Module) -> torch.Tensor:
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    tensor = torch.as_tensor(x)
    if tensor.ndim < 1 or tensor.shape[0] < 1:
        found = f"an example input of shape {list(tensor.shape)}"
        raise BadInput(type(module).__name__, found, "a batch [n, ...] with n >= 1 is needed")
    return tensor.to(device, torch.float32) if tensor.dtype == torch.float64 else tensor.to(device)


def _first_line(problem: Exception) -> str:
    return next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)


@contextmanager
def _evaluation(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every submodule's own mode again afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch.export's warnings and log messages about its own inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
