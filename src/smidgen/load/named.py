"""`package.module:name`: an object of the user's own code, or what a function there returns."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from smidgen.errors import BadInput


def is_name(source: str) -> bool:
    """Whether `source` names an object of a module; a path of an existing file does not."""
    module, colon, name = source.partition(":")
    return bool(colon) and name.isidentifier() and not Path(source).exists() and _is_dotted(module)


def named_object(source: str) -> Any:
    """The object, or what it returns if it is a function. Modules of the working folder come first.

    Raises BadInput for whatever the user's code raises.
    """
    module_name, _, name = source.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), name)
        return found() if inspect.isroutine(found) else found
    except Exception as problem:
        what = f"{type(problem).__name__}: {problem}"
        raise BadInput(
            source, f"it can't be had ({what})", "", "Run from the folder of the module"
        ) from problem
    finally:
        sys.path.remove(os.getcwd())


def _is_dotted(module: str) -> bool:
    return all(part.isidentifier() for part in module.split("."))
