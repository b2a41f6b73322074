"""C99 kernels (`c/`) and the native module that runs them from Python."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from smidgen.errors import SmidgenError

C_SOURCES = Path(__file__).parent / "c"


def native() -> ModuleType:
    """The compiled module. Raises SmidgenError if this installation has none for this Python."""
    try:
        return importlib.import_module("smidgen.kernels._native")
    except ImportError as problem:
        raise SmidgenError(
            "smidgen.kernels", "the native module can't be loaded", str(problem), "Run: pip install ."
        ) from problem
