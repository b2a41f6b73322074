"""Integer graph → Program: which kernel runs each node, on which bytes.

Rules for operators are in `calls.py`, for stored weights in `decode.py`. Nothing is skipped or replaced in
silence: what no rule covers is listed by `check_schedulable` and refused by `schedule`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from smidgen.errors import Unsupported
from smidgen.formats import Format, Grid
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.planner import MemoryPlan, plan_memory
from smidgen.lower.calls import RULES
from smidgen.lower.decode import decode_calls, worth_expanding
from smidgen.lower.program import Call, Port, Program
from smidgen.lower.site import CallSite, Constants

Rule = Callable[[CallSite], list[Call]]
TAKES_INT16 = ("q.trees", "q.reshape")
ALL_RULES: Mapping[str, Rule] = {**RULES, "q.decode": decode_calls}


def schedule(graph: Graph) -> Program:
    """Kernel calls on planned memory that compute `graph`.

    Weights of `q.linear` and `q.conv` become int8 constants, those of `q.decode` the packed bytes of their
    leaves (see `expand_weights`). A weight that several nodes use is one constant.

    Raises:
        Unsupported: lists everything that has no kernel.
    """
    problems = check_schedulable(graph)
    if problems:
        raise Unsupported(
            graph.name, "; ".join(problems), "", "Run these parts in float, or change the model"
        )
    plan, constants = plan_memory(graph), Constants()
    calls = tuple(call for node in graph.nodes for call in _calls(graph, plan, constants, node))
    return Program(
        graph.name,
        calls,
        constants.all(),
        tuple(_port(graph, name) for name in graph.inputs),
        tuple(_port(graph, name) for name in graph.outputs),
        plan.arena_bytes,
    )


def check_schedulable(graph: Graph) -> list[str]:
    """Everything that keeps `graph` from being scheduled, one `node: reason` each. Empty: nothing does."""
    problems = [f"{name}: {why}" for name in graph.inputs if (why := _value_problem(graph, name))]
    problems += [
        f"{name}: an input is returned as an output" for name in graph.outputs if name in graph.inputs
    ]
    if len(set(graph.outputs)) < len(graph.outputs):
        problems.append(f"{graph.name}: a value is returned twice")
    plan = plan_memory(graph)
    return problems + [problem for node in graph.nodes for problem in _node_problems(graph, plan, node)]


def _node_problems(graph: Graph, plan: MemoryPlan, node: Node) -> list[str]:
    if node.op not in ALL_RULES:
        return [f"{node.name}: no kernel computes {node.op}"]
    values = (*node.inputs, *node.outputs)
    if found := [f"{node.name}: {name} {why}" for name in values if (why := _value_problem(graph, name))]:
        return found
    try:
        _calls(graph, plan, Constants(), node)
    except Unsupported as problem:
        return [
            f"{problem.where}: {problem.found}" + (f", but {problem.expected}" if problem.expected else "")
        ]
    return []


def _value_problem(graph: Graph, name: str) -> str:
    value = graph.values[name]
    if value.dtype != "int8" and not (value.dtype == "int16" and _is_wide_input(graph, name)):
        return f"is {value.dtype}, kernels take int8"
    if value.batched and value.grid is None:
        return "has no grid"
    return "" if value.size else "is empty"


def _is_wide_input(graph: Graph, name: str) -> bool:
    """Whether only operators that take 16 bits read the value: trees, and reshapes on the way to them."""
    readers, maker = graph.consumers(name), graph.producer(name)
    made_wide = maker is None or maker.op == "q.reshape"
    return made_wide and name not in graph.outputs and all(node.op in TAKES_INT16 for node in readers)


def _calls(graph: Graph, plan: MemoryPlan, constants: Constants, node: Node) -> list[Call]:
    return ALL_RULES[node.op](CallSite(graph, plan, constants, node))


def _port(graph: Graph, name: str) -> Port:
    value = graph.values[name]
    assert value.grid is not None, "checked by check_schedulable"
    return Port(name, value.shape, value.grid, value.dtype)


def expand_weights(graph: Graph, expand: Callable[[Format], bool] = worth_expanding) -> Graph:
    """A graph that keeps weights stored and expands each one for which `expand` holds right before its use.

    A `q.decode` node makes the int8 weight as an unbatched value, the second input of its `q.linear` or
    `q.conv`: the memory planner charges its RAM, and a trace shows it. By default every weight that is
    smaller stored than as int8 is expanded.
    """
    for node in graph.nodes:
        stored = node.params.get("weight")
        if node.op in ("q.linear", "q.conv") and stored is not None and expand(graph.weights[stored]):
            graph = _expanded(graph, node, stored)
    return graph


def _expanded(graph: Graph, node: Node, stored: str) -> Graph:
    name = f"{node.name}.decode"
    decode = Node(name, "q.decode", (), (name,), {"weight": stored})
    rest = {role: weight for role, weight in node.params.items() if role != "weight"}
    user = replace(node, inputs=(*node.inputs, name), params=rest)
    value = Value(graph.weights[stored].shape, "int8", Grid(1.0, 0), batched=False)
    return graph.with_values({name: value}).replace(node.name, decode, user)
