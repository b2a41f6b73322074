"""The immutable graph: types, operator table, channel coupling, memory planner."""

from smidgen.graph.build import GraphBuilder
from smidgen.graph.core import Graph, Node, Value, frozen

__all__ = ["Graph", "GraphBuilder", "Node", "Value", "frozen"]
