"""C99 kernels (`c/`) and the native module that runs them from Python."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from smidgen.errors import SmidgenError

C_SOURCES = Path(__file__).parent / "c"


def needed_files(kernels: Iterable[str]) -> list[str]:
    """Names of the files in `c/` that the given kernels are made of: theirs, headers, what those declare."""
    found: set[str] = set()
    waiting = [f"{name}.c" for name in kernels]
    while waiting:
        name = waiting.pop()
        if name in found or not (C_SOURCES / name).exists():
            continue
        found.add(name)
        included = re.findall(r'^#include "(\w+)\.h"', (C_SOURCES / name).read_text(), re.MULTILINE)
        waiting += [f"{stem}{ending}" for stem in included for ending in (".h", ".c", "_table.c")]
    return sorted(found)


def native() -> ModuleType:
    """The compiled module. Raises SmidgenError if this installation has none for this Python."""
    try:
        return importlib.import_module("smidgen.kernels._native")
    except ImportError as problem:
        raise SmidgenError(
            "smidgen.kernels", "the native module can't be loaded", str(problem), "Run: pip install ."
        ) from problem
