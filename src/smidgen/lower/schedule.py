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
from smidgen.graph.core import UNSUITABLE, Value
from smidgen.graph.planner import MemoryPlan, plan_memory
from smidgen.lower.bit_calls import BIT_CALLS
from smidgen.lower.calls import RULES
from smidgen.lower.coded import CodedWeight
from smidgen.lower.decode import decode_calls, worth_expanding
from smidgen.lower.nonlinear_calls import NONLINEAR_CALLS
from smidgen.lower.product_calls import PRODUCT_CALLS
from smidgen.lower.program import Call, Port, Program
from smidgen.lower.recurrence import scan_calls
from smidgen.lower.serial_calls import SERIAL_CALLS
from smidgen.lower.site import CallSite, Constants, pointers_of
from smidgen.lower.stored_calls import IN_PLACE, reads_stored

Rule = Callable[[CallSite], list[Call]]
ALL_RULES: Mapping[str, Rule] = {
    **RULES,
    **PRODUCT_CALLS,
    **NONLINEAR_CALLS,
    **BIT_CALLS,
    **SERIAL_CALLS,
    "q.decode": decode_calls,
    "q.scan": lambda site: scan_calls(site, node_calls),
}
# Operators with kernels that read, or make, 16-bit values.
MOVES_INT16 = frozenset({"q.reshape", "q.slice", "q.concat", "q.transpose", "q.gather"})
BOTH_INT16 = MOVES_INT16 | {"q.add", "q.mul", "q.requantize", "q.table", "q.scan"}
READ_INT16 = BOTH_INT16 | {"q.embedding", "q.trees", "q.normalize", "q.softmax"}
MAKE_INT16 = BOTH_INT16 | {"q.linear", "q.matmul", "q.constant"}
BITS = "uint32"  # packed
PACKS = frozenset({"q.binarize", "q.planes"})
READ_BITS = frozenset({*BIT_CALLS, *SERIAL_CALLS}) - PACKS
MAKE_BITS = PACKS | {
    *("q.binary_max_pool", "q.binary_linear_bits", "q.binary_conv_bits"),
    *("q.planes_max_pool", "q.serial_linear_planes", "q.serial_conv_planes"),
}


def nowhere(fmt: Format) -> bool:
    """Every weight as int8: what is fastest where there is memory for it."""
    return False


NOT_CODED: Mapping[str, CodedWeight] = {}


def schedule(
    graph: Graph,
    in_place: Callable[[Format], bool] = nowhere,
    coded: Mapping[str, CodedWeight] = NOT_CODED,
) -> Program:
    """Kernel calls on planned memory that compute `graph`.

    Weights of `q.linear` and `q.conv` become int8 constants, or packed bytes of their leaves where `in_place`
    holds, those of `q.decode` always (see `expand_weights`), or entropy-coded ones if in `coded`. A weight
    that several nodes use is one constant.

    Raises:
        Unsupported: lists everything that has no kernel.
    """
    problems = check_schedulable(graph)
    if problems:
        raise Unsupported(
            graph.name, "; ".join(problems), "", "Run these parts in float, or change the model"
        )
    plan, constants = plan_memory(graph, scratch=coded_scratch(graph, coded)), Constants()
    pointers = pointers_of(graph, plan, constants)
    calls = tuple(
        call
        for node in graph.nodes
        for call in node_calls(CallSite(graph, pointers, plan.copies, constants, node, in_place, coded))
    )
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
    problems = [f"{name}: {why}" for name in graph.inputs if (why := _value_problem(graph.values[name]))]
    problems += [
        f"{name}: bits are returned as an output"
        for name in graph.outputs
        if graph.values[name].dtype == BITS
    ]
    problems += [
        f"{name}: an input is returned as an output" for name in graph.outputs if name in graph.inputs
    ]
    if len(set(graph.outputs)) < len(graph.outputs):
        problems.append(f"{graph.name}: a value is returned twice")
    plan = plan_memory(graph)
    return problems + [problem for node in graph.nodes for problem in _node_problems(graph, plan, node)]


def _node_problems(graph: Graph, plan: MemoryPlan, node: Node) -> list[str]:
    try:
        constants = Constants()
        pointers = pointers_of(graph, plan, constants)
        node_calls(CallSite(graph, pointers, plan.copies, constants, node, nowhere, NOT_CODED))
    except Unsupported as problem:
        return [
            f"{problem.where}: {problem.found}" + (f", but {problem.expected}" if problem.expected else "")
        ]
    return []


def _value_problem(value: Value, types: tuple[str, ...] = ("int8", "int16")) -> str:
    if value.dtype not in types:
        return f"is {value.dtype}, its kernel takes {' or '.join(types)}"
    if value.batched and value.grid is None:
        return "has no grid"
    return "" if value.size else "is empty"


def coded_scratch(graph: Graph, coded: Mapping[str, CodedWeight]) -> dict[str, int]:
    """Bytes of working memory of each `q.decode` node that decodes a coded weight, by node name."""
    decodes = [node for node in graph.nodes if node.op == "q.decode" and node.params["weight"] in coded]
    return {node.name: coded[node.params["weight"]].scratch_bytes for node in decodes}


def node_calls(site: CallSite) -> list[Call]:
    """The calls of one node, of the graph or of a body. Raises Unsupported."""
    op, values = site.node.op, site.graph.values
    if op not in ALL_RULES:
        raise Unsupported(site.node.name, f"no kernel computes {op}")
    for name in site.node.inputs:
        if why := _value_problem(values[name], _types(op, READ_INT16, READ_BITS)):
            raise site.refuse(f"{name} {why}")
    for name in site.node.outputs:
        if why := _value_problem(values[name], _types(op, MAKE_INT16, MAKE_BITS)):
            raise site.refuse(f"{name} {why}")
    try:
        return (IN_PLACE if reads_stored(site) else ALL_RULES)[op](site)
    except UNSUITABLE as problem:  # of a file from anyone: shapes fit, but a padding has three ends
        raise site.refuse("its attributes do not fit", str(problem)) from problem


def _types(op: str, wide: frozenset[str], bits: frozenset[str]) -> tuple[str, ...]:
    """The types of values that an operator's kernels read or make."""
    if op == "q.reshape":
        return ("int8", "int16", BITS)
    return (BITS,) if op in bits else ("int8", "int16") if op in wide else ("int8",)


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
