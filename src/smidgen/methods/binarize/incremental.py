"""Incremental binarization: signs take the place of tanh-compressed weights and activations bit by bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from smidgen.formats import Dense, Format
from smidgen.graph import Graph, Node
from smidgen.graph.cells import gate_weights
from smidgen.learn.hooks import Hook
from smidgen.methods.binarize._bitwise import (
    bitwise_recurrence,
    making_signs,
    reading_signs,
    signs_of_largest,
    start_of,
)
from smidgen.methods.binarize._layers import all_layers, inner_layers
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Stage, Step

GRU_KINDS = ("gru_before", "gru_after")


@dataclass(frozen=True)
class Incremental(Step):
    """Weights W, biases and activations become signs in two rounds of the next `tune.fit`.

    Round 1 trains with tanh(W). In round 2 a fresh random share p = 1/levels, 2/levels, ... 1 of the weights,
    drawn anew in every update, is mu * s * sign(W): s leaves out the share `sparsity` of the smallest, mu is
    the mean |tanh(W)| of the others. Activations are mixed by the same p: sign instead of tanh, [x > 0]
    instead of a sigmoid. It ends at p = 1, so what is kept was trained as it is. d sign = 1 - tanh^2; that of
    a gate's bit is twice the sigmoid's.

    GRU layers become bitwise ones (`graph.cells.bitwise_gru_cell`: the reset comes before its product) that
    start at -1, signs that training may turn. Layers read signs as those of `binarize.xnor` do; a tanh before
    them becomes the sign. What reads the network's input reads it as it is, but a recurrence needs signs
    there too: a BatchNorm and a sign are put between where there are none. Put `quantize.affine` behind the
    training: before, it would put the states of round 1 on the grid of bits.
    Ref: Kim, Maity, Kim 2019 (arXiv 1908.08898); Kim, Smaragdis 2018 (ICASSP). There every share is trained
    until it settles; here the whole schedule is one training.

    Attributes:
        sparsity: share of each weight that becomes 0, 0 <= sparsity < 1; at 0 layers run on packed bits.
        layers: `inner` leaves the first and the last linear or conv layer as they are; `all` binarizes them
            too, and a tanh or sigmoid behind any layer.
        levels: of round 2; 1 binarizes at once.
        first_round: share of the training that round 1 takes, 0 <= first_round < 1.
        until: share of it at which all is signs; the rest trains the network that is kept, 0 < until < 1.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS

    sparsity: float = 0.0
    layers: Literal["inner", "all"] = "inner"
    levels: int = 10
    first_round: float = 0.3
    until: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity must be at least 0 and below 1, not {self.sparsity}")
        if not 0 <= self.first_round < 1:
            raise ValueError(f"first_round must be at least 0 and below 1, not {self.first_round}")
        if not self.first_round <= self.until < 1:
            raise ValueError(f"until must be at least first_round and below 1, not {self.until}")
        if self.levels < 1:
            raise ValueError(f"levels must be at least 1, not {self.levels}")
        if self.layers not in ("inner", "all"):
            raise ValueError(f"layers must be inner or all, not {self.layers}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        recurrent = [node for node in graph.nodes if is_float_gru(graph, node)]
        layers = (all_layers if self.layers == "all" else inner_layers)(graph, is_dense)
        if not recurrent and not layers:
            ctx.notes.append(f"{self.name}: no GRU or float layer to be made bitwise, nothing changes")
            return graph
        for node in recurrent:
            graph = bitwise_recurrence(graph, node.name)
        for node in layers:
            graph = reading_signs(graph, node.name)
            graph = making_signs(graph, node.name) if self.layers == "all" else graph
        names = {role for node in layers for role in node.params.values()}
        names |= {role for node in recurrent for role in graph.node(node.name).params}
        names |= {start_of(node.name) for node in recurrent}  # floats near 0 could lose their sign on a grid
        graph = graph.with_weights({name: self._signs(graph, name) for name in sorted(names)})
        graph.check()
        return replace(graph, pending=(*graph.pending, self))

    def space(self, graph: Graph) -> Space:
        return {"layers": Choice(("inner", "all")), "sparsity": Range(0.0, 0.5)}

    def hooks(self, ctx: Context) -> tuple[Hook, ...]:
        from smidgen.methods.binarize._mixing import GrowingSigns

        return (GrowingSigns(self.share_at),)

    def share_at(self, t: float) -> float:
        """The share of signs when `t` (0..1) of the training is done."""
        if t < self.first_round:
            return 0.0
        if t >= self.until or self.levels == 1:
            return 1.0
        level = int((t - self.first_round) / (self.until - self.first_round) * (self.levels - 1)) + 1
        return min(level, self.levels - 1) / self.levels

    def _signs(self, graph: Graph, name: str) -> Format:
        """Weights lose the smallest; vectors, which are biases and first states, do not."""
        latent = graph.weights[name].decode()
        return signs_of_largest(latent, self.sparsity if latent.ndim > 1 else 0.0)


def is_float_gru(graph: Graph, node: Node) -> bool:
    """True for a GRU with float weights of its own whose states start at rest."""
    if node.op != "scan" or node.attrs["kind"] not in GRU_KINDS or len(node.inputs) > 1:
        return False
    names = gate_weights(node)
    return names is not None and all(isinstance(graph.weights[n], Dense) for n in names.values())


def is_dense(node: Node) -> bool:
    """True for a layer whose filters see all channels."""
    groups: int = node.attrs.get("groups", 1)
    return groups == 1
