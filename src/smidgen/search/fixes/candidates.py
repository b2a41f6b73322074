"""Which changes of a recipe are worth simulating: those of the layers that add most noise on their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smidgen.graph import Graph, Node
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import declared_grids, fixed_grids, fused_activation
from smidgen.lower.widths import WIDE_MAKERS, WIDE_READERS
from smidgen.methods.quantize._chains import neighbours
from smidgen.methods.quantize.bias_correction import BiasCorrection, rounding_errors
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.quantize.layer import WIDE_BITS, LayerQuantization, affine_of, granularity_of, grid_owner
from smidgen.methods.step import Step

BYTE_BITS = 8


@dataclass(frozen=True)
class Candidate:
    """A step to add to the recipe, and what it does in words."""

    step: Step
    what: str


def candidates(
    original: Graph, quantized: Graph, layers: Sequence[str], done: Sequence[Step]
) -> list[Candidate]:
    """What could mend `quantized` (grids declared, weights rounded, not lowered), for `layers`, worst first.

    `original` is the float network, `done` the steps of the recipe: what is there already is not proposed.
    """
    found: dict[Step, Candidate] = {}
    nodes = {node.name: node for node in quantized.nodes}
    for name in layers:
        node = nodes.get(name)
        made = [*_of_weight(quantized, node), *_of_activations(quantized, node)] if node else []
        for candidate in made:
            found.setdefault(candidate.step, candidate)
    names = {step.name for step in done}
    if Equalize.name not in names:
        found |= {c.step: c for c in _equalizations(original, set(layers))}
    if BiasCorrection.name not in names and rounding_errors(quantized):
        step = BiasCorrection()
        found[step] = Candidate(step, "correct the biases for what rounding moved")
    return [candidate for step, candidate in found.items() if step not in done]


def _of_weight(graph: Graph, node: Node) -> Iterator[Candidate]:
    weight = affine_of(graph.weights.get(node.params.get("weight", "")))
    if weight is None:
        return
    name = node.name
    if granularity_of(weight) == "tensor":
        step = LayerQuantization(name, granularity="channel")
        yield Candidate(step, f"a scale per channel instead of one in {name}")
    if weight.bits < BYTE_BITS:
        step = LayerQuantization(name, bits=BYTE_BITS)
        yield Candidate(step, f"8 bits instead of {weight.bits} in {name}")
        step = LayerQuantization(name, rule="mse")
        yield Candidate(step, f"clip the weight's range in {name} (least squares)")
    if not declared_grids(graph):
        step = LayerQuantization(name, bits=WIDE_BITS)
        yield Candidate(step, f"keep {name} in 16 bits (half precision)")


def _of_activations(graph: Graph, node: Node) -> Iterator[Candidate]:
    """For the layer's output and for what it reads."""
    grids, fixed = declared_grids(graph), fixed_grids(graph)
    makers = {out: made for made in graph.nodes for out in made.outputs}
    for value in (*node.inputs, node.output):
        maker = makers.get(value)
        owner = grid_owner(graph, maker, value)
        grid = grids.get(owner)
        name = owner if owner in graph.inputs else makers[owner].name if owner in makers else ""
        if grid is None or not name or owner in fixed or grid.bits > BYTE_BITS:
            continue
        what = "the network's input" if owner in graph.inputs else f"the output of {name}"
        if grid.bits < BYTE_BITS:
            step = LayerQuantization(name, activation_bits=BYTE_BITS)
            yield Candidate(step, f"8 bits instead of {grid.bits} for {what}")
        for rule, how in (("percentile", "percentile 99.9"), ("mse", "least squares")):
            step = LayerQuantization(name, activation_rule=rule)  # type: ignore[arg-type]
            yield Candidate(step, f"clip the range of {what} ({how})")
        if owner in makers and _may_be_wide(graph, makers[owner], owner):
            step = LayerQuantization(name, activation_bits=WIDE_BITS)
            yield Candidate(step, f"keep {what} in 16 bits")


def _may_be_wide(graph: Graph, maker: Node, owner: str) -> bool:
    """Whether integer operators make and read the value in 16 bits."""
    source = next((n for n in graph.nodes if (a := fused_activation(graph, n)) and a.output == owner), maker)
    return source.op in WIDE_MAKERS and all(n.op in WIDE_READERS for n in graph.consumers(owner))


def _equalizations(original: Graph, layers: set[str]) -> Iterator[Candidate]:
    """Pairs of which one layer is to be mended; weights with a scale a tensor gain most."""
    for pair in neighbours(canonical(original)):
        names = (pair.first.name, pair.second.name)
        if layers & set(names):
            yield Candidate(Equalize(layers=names), f"equalize {names[0]} and {names[1]}")
