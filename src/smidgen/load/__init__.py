"""Front doors: trained models of other frameworks become graphs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from smidgen.errors import BadInput, MissingExtra
from smidgen.graph import Graph
from smidgen.graph.states import with_states
from smidgen.load.named import is_name, named_object

__all__ = ["load"]

NEEDED = "a torch module, a scikit-learn estimator, an .onnx or a .pt2 file is needed"
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
_ESTIMATORS = (".joblib", ".pkl", ".pickle")


def load(
    source: Any,
    example_input: Any = None,
    batch_axes: Sequence[int] | int = 0,
    states: Sequence[str] = (),
) -> Graph:
    """A trained model as a float graph.

    Args:
        source: a torch.nn.Module, a fitted scikit-learn estimator, the path of an `.onnx` or `.pt2`
            (torch.export.save) file, or `package.module:name` of a model or of a function that returns one.
        example_input: a batch [n, ...] (array or tensor; a tuple of them for several inputs), in the model's
            own layout. A module needs it; for an ONNX file it fixes sizes that the file leaves open.
        batch_axes: which axis of the inputs is the batch, one for all or one each: 1 for the time-major
            sequences [T, n, ...] and the states [layers, n, ...] of recurrent layers. A .pt2 file tells it.
        states: `input=output` for each output that a streaming network is given again with the next chunk;
            by default those that names and shapes tell (see `smidgen.graph.states.state_pairs`).

    The graph is channels last inside and keeps the model's own layout at its inputs and outputs, except that
    the batch always comes first there: states [layers, n, H] become [n, layers, H]. What it can't express
    becomes a float island, listed by `smidgen.run.islands.islands`.

    Raises:
        BadInput: the model can't be read, or mixes the samples of a batch.
        MissingExtra: torch or onnx is not installed.
    """
    if isinstance(source, str) and is_name(source):
        source = named_object(source)
    if isinstance(source, Graph):
        return with_states(source, states) if states else source
    return with_states(_loaded(source, example_input, batch_axes), states)


def _loaded(source: Any, example_input: Any, batch_axes: Sequence[int] | int) -> Graph:
    if isinstance(source, (str, Path)):
        return _load_file(Path(source), example_input, batch_axes)
    if type(source).__module__.partition(".")[0] == "sklearn":
        return _loader("sklearn", "sklearn").load_estimator(source)  # type: ignore[no-any-return]
    torch = sys.modules.get("torch")  # whoever holds a module has imported it
    if torch is not None and isinstance(source, torch.nn.Module):
        if example_input is None:
            raise BadInput(
                type(source).__name__,
                "no example input was given",
                "a module does not know its input's shape",
                "Pass example_input, a batch [n, ...]",
            )
        return _loader("torch_export", "torch").load_module(source, example_input, batch_axes)  # type: ignore[no-any-return]
    if isinstance(source, Mapping) and torch is not None and any(map(torch.is_tensor, source.values())):
        found = f"{len(source)} tensors, a state dict, without the code that uses them"
        remedy = "Build the module, call module.load_state_dict(...) and pass the module"
        raise BadInput("model", found, NEEDED, remedy)
    found = f"an object of type {type(source).__name__}"
    raise BadInput("model", found, NEEDED)


def _load_file(path: Path, example_input: Any, batch_axes: Sequence[int] | int) -> Graph:
    if not path.is_file():
        found = "it is a folder" if path.is_dir() else "no such file"
        raise BadInput(str(path), found, "an .onnx or .pt2 file is needed")
    kind = path.suffix.lower()
    if kind == ".onnx":
        return _loader("onnx", "onnx").load_onnx(path, example_input, batch_axes)  # type: ignore[no-any-return]
    if kind == ".pt2":
        return _loader("torch_export", "torch").load_pt2(path)  # type: ignore[no-any-return]
    if kind in _ESTIMATORS:
        found = f"a {kind} file can run code when it is opened"
        remedy = "Write a function that loads it and pass package.module:function"
        raise BadInput(str(path), found, "smidgen never unpickles", remedy)
    remedy = (
        "It holds weights without code: load them into their module and pass that, or save it with "
        "torch.export.save(torch.export.export(model, (x,)), 'model.pt2')"
    )
    raise BadInput(
        str(path),
        f"a {kind or 'nameless'} file",
        "only .onnx and .pt2 are read",
        remedy if kind in _PICKLES else "",
    )


def _loader(module: str, package: str) -> Any:
    try:
        return importlib.import_module(f"smidgen.load.{module}")
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        raise MissingExtra(f"loading a {package} model", package, "compress") from missing


class _Callable(ModuleType):
    """Importing this package puts it in the place of the function `smidgen.load`: so it can be called too."""

    def __call__(
        self,
        source: Any,
        example_input: Any = None,
        batch_axes: Sequence[int] | int = 0,
        states: Sequence[str] = (),
    ) -> Graph:
        return load(source, example_input, batch_axes, states)


sys.modules[__name__].__class__ = _Callable
