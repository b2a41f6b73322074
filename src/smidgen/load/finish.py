"""What every imported graph goes through before a user sees it."""

from __future__ import annotations

from smidgen.graph import Graph
from smidgen.load.fuse import fuse
from smidgen.load.layout import simplify


def finish(graph: Graph) -> Graph:
    """Remove inner transposes, merge what exporters split, and check."""
    finished = fuse(simplify(graph))
    finished.check()
    return finished
