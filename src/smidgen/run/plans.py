"""What runs a network fastest: the whole of it in one native call, or piece by piece."""

from __future__ import annotations

from smidgen.graph import Graph
from smidgen.lower.schedule import check_schedulable
from smidgen.run.mixed import MixedPlan
from smidgen.run.native import NativePlan, native_plan


def plan_of(graph: Graph, threads: int | None = None) -> NativePlan | MixedPlan:
    """The native plan where every node has an integer kernel, else a plan in pieces (run/mixed.py).

    Pieces run on one thread.
    """
    return MixedPlan(graph) if check_schedulable(graph) else native_plan(graph, threads)
