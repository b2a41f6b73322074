"""PyTorch modules and `.pt2` files, through torch.export, as graphs."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from smidgen.errors import BadInput, first_line
from smidgen.graph import Graph
from smidgen.load.aten_walk import Walk
from smidgen.load.finish import finish
from smidgen.load.pt2_file import read_program
from smidgen.load.torch_inputs import Example, batch_axes_of, example_of, output_names
from smidgen.load.torch_refusals import refuse_unreadable, untraceable


def load_module(module: nn.Module, example: Any, batch_axes: Sequence[int] | int = 0) -> Graph:
    """Capture a module in evaluation mode, in float32 and on the CPU; the module itself stays as it is.

    `example` is a batch, a tuple of forward's arguments, or a dict of them by name; arguments may nest.
    """
    module = _unwrapped(module)
    refuse_unreadable(module)
    given, where = example_of(module, example), type(module).__name__
    axes = batch_axes_of(batch_axes, given.tensors, where)
    with _evaluation(_portable(module)) as ready, torch.no_grad(), _quiet():
        try:
            ready(*given.args, **given.kwargs)
        except Exception as problem:
            shapes = ", ".join(str(list(x.shape)) for x in given.tensors)
            raise BadInput(
                where,
                f"it fails on the example input {shapes} ({first_line(problem)})",
                "the example is a batch that the model accepts",
                "Pass an example_input of the shape [n, ...] that forward takes",
            ) from problem
        return _graph(_export(ready, given, axes), where)


def load_pt2(path: Path) -> Graph:
    """Load what torch.export.save wrote."""
    with torch.no_grad(), _quiet():
        return _graph(read_program(path), path.stem)


def _graph(program: ExportedProgram, where: str) -> Graph:
    walk = Walk(program, where)
    graph = walk.run()
    names = output_names(program.call_spec.out_spec, len(walk.kept_outputs))
    return finish(graph, [names[i] for i in walk.kept_outputs] if names else ())


def _export(module: nn.Module, example: Example, axes: Sequence[int]) -> ExportedProgram:
    """Export for any batch size; where the model itself fixes it, for a batch of one."""
    one = example.map(lambda x, i: x.narrow(axes[i], 0, 1).clone())
    pair = one.map(lambda x, i: torch.cat([x, x], axes[i]))
    batch, free = Dim("batch"), ShapesCollection()  # type: ignore[no-untyped-call]
    for x, axis in zip(pair.tensors, axes, strict=True):
        free[x] = {axis: batch}  # whatever the signature of forward looks like
    try:
        return torch.export.export(module, pair.args, dict(pair.kwargs), dynamic_shapes=free)  # type: ignore[arg-type]
    except Exception as problem:
        refusal = problem
    try:
        if not any(axes):
            return torch.export.export(module, one.args, dict(one.kwargs))
    except Exception as problem:
        refusal = problem
    raise untraceable(module, refusal) from refusal


def _unwrapped(module: nn.Module) -> nn.Module:
    """The user's module inside torch.compile's and the data-parallel ones."""
    inner = getattr(module, "_orig_mod", None)
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner = module.module
    return _unwrapped(inner) if isinstance(inner, nn.Module) else module


def _portable(module: nn.Module) -> nn.Module:
    """The module, or a copy of it in float32 on the CPU if it is anything else."""
    tensors = list(chain(module.parameters(), module.buffers()))
    odd = any(t.is_floating_point() and t.dtype != torch.float32 for t in tensors)
    elsewhere = any(t.device.type != "cpu" for t in tensors)
    return copy.deepcopy(module).to("cpu", torch.float32) if odd or elsewhere else module


@contextmanager
def _evaluation(module: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode inside, every submodule's own mode again afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for m, mode in modes:
            m.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch.export's warnings, log messages and printed graphs about its own inner workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
