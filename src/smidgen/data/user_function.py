"""Find and call functions of the user's own modules, named `package.module:function`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from smidgen.errors import BadInput


def find_function(source: str) -> Callable[..., Any]:
    """The function that `package.module:function` names, looked for in the working folder first.

    Raises BadInput: there is no such module or function, or the module can't be imported.
    """
    module_name, _, function_name = source.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:
        raise BadInput(
            source,
            f"module {module_name!r} can't be imported ({type(problem).__name__}: {problem})",
            "",
            "Run from the folder that holds it, or install it",
        ) from problem
    finally:
        sys.path.remove(os.getcwd())
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadInput(
            source, f"no function {function_name!r} in {module_name}", "", "Check the name after the colon"
        )
    return function  # type: ignore[no-any-return]


def call(source: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns. Whatever the user's code raises becomes one BadInput."""
    try:
        return function(*arguments)
    except Exception as problem:
        raise BadInput(source, f"the function raised {type(problem).__name__}: {problem}") from problem
