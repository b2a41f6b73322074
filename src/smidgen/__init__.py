"""smidgen makes a trained network fit the device you have, and proves it on the artifact.

    graph = smidgen.load(model, example_input)
    frontier = smidgen.compress(graph, data, target="cortex-m4", budget="flash=64KB,ram=48KB")
    net = smidgen.open("chosen.smg")          # runs without torch
    labels = net.predict(x)

Names are imported when first used: `import smidgen` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Recipe": "smidgen.methods.recipe",
    "SmidgenError": "smidgen.errors",
    "compare": "smidgen.api",
    "compress": "smidgen.api",
    "load": "smidgen.load",
    "open": "smidgen.api",
}
__all__ = ["Recipe", "SmidgenError", "__version__", "compare", "compress", "load", "open"]

if TYPE_CHECKING:
    from smidgen.api import compare as compare
    from smidgen.api import compress as compress
    from smidgen.api import open as open
    from smidgen.errors import SmidgenError as SmidgenError
    from smidgen.load import load as load
    from smidgen.methods.recipe import Recipe as Recipe


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'smidgen' has no attribute {name!r}")
