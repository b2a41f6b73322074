"""Binary layers that lose whole packs of 32 weights, their inputs sorted so that packs lose little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from smidgen.formats import Binary, BinaryPacks, Dense, Format
from smidgen.formats.packing import WORD_BITS
from smidgen.graph import Graph, Node
from smidgen.graph.channel_ids import ChannelIds
from smidgen.graph.reorder import path_from_input, read_classes, reordered, with_gathered_input
from smidgen.methods.binarize._layers import has_one_group, inner_layers, with_signs
from smidgen.methods.binarize._packing import largest_weights, sorting_order
from smidgen.methods.post_training import WEIGHTED
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Needs, Stage, Step

Granularity = Literal["tensor", "channel"]


@dataclass(frozen=True)
class PackedSparse(Step):
    """Of each output's binary weights only the packs of largest sum |w| stay, equally many for all outputs.

    Layers that `binarize.xnor` or `binarize.bwn` made are pruned; where there is none, those between the
    first and the last become binary as by `binarize.xnor` first. If asked for, the inputs of a layer are put
    in an order before in which packs are nearly empty or nearly full: layers before make their outputs in
    that order, and an input of the network is gathered, so that the network computes the same. The order
    follows from the largest weights now; for the paper's recipe train with `width` 1 first:

        binarize.xnor, binarize.packed_sparse (width 1), tune.fit, binarize.packed_sparse, tune.fit

    With short trainings on MNIST the order lost accuracy (benchmarks/results/methods/packed_sparse.md), so it
    is off unless asked for.

    In the training behind it latent weights stay in -1..1, sign and mask pass gradients straight through, and
    packs are chosen anew for the first `open_share` of it. Layers on packed bits then read the words that are
    left and skip the others; all else reads zeros.
    Ref: Romaszkan, Li, Gupta 2020 (3PXNet, ACM TECS 19(1)).

    Attributes:
        sparsity: share of each output's packs to lose, 0..1; one always stays.
        width: weights of a pack: 32, a word, or 1, the weights one by one.
        permute: `greedy` sorts the inputs, `off` leaves them as they are.
        open_share: the share of the next training, 0..1, in which a lost pack may come back.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    needs: ClassVar[Needs] = "nothing"

    sparsity: float = 0.9
    width: int = WORD_BITS
    permute: Literal["greedy", "off"] = "off"
    open_share: float = 0.25

    def __post_init__(self) -> None:
        for name in ("sparsity", "open_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {getattr(self, name)}")
        if self.width not in (1, WORD_BITS):
            raise ValueError(f"width must be 1 or {WORD_BITS}, not {self.width}")
        if self.permute not in ("greedy", "off"):
            raise ValueError(f"permute must be greedy or off, not {self.permute}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        binary = graph if _binary_layers(graph) else with_signs(graph, inner_layers(graph, has_one_group))
        names = [node.params["weight"] for node in _binary_layers(binary)]
        if not names:
            ctx.notes.append(f"{self.name}: no layer is or can be binary, nothing changes")
            return graph
        made = binary.with_weights({name: Dense(binary.weights[name].latent) for name in names})
        if self.permute == "greedy" and self.width > 1:
            for number, node in enumerate(_binary_layers(binary)):
                ctx.report(number / len(names), f"sorting the inputs of {node.name}")
                made = self._sorted(made, made.node(node.name), ctx)
        packs = {name: self._packed(made.weights[name], _granularity(binary.weights[name])) for name in names}
        if all(_equal(graph.weights[name], fmt) for name, fmt in packs.items()):
            ctx.notes.append(f"{self.name}: the layers keep these very packs already, nothing changes")
        made = made.with_weights(packs)
        made.check()
        return made

    def space(self, graph: Graph) -> Space:
        return {"sparsity": Range(0.5, 0.95), "permute": Choice(("greedy", "off"))}

    def _packed(self, latent: Format, granularity: Granularity) -> BinaryPacks:
        return BinaryPacks.fit(latent.decode(), self.sparsity, self.width, granularity, self.open_share)

    def _sorted(self, graph: Graph, node: Node, ctx: Context) -> Graph:
        """The layer's inputs in the greedy order, if whatever makes them can follow."""
        name, walk = node.params["weight"], ChannelIds(graph)
        classes, path = read_classes(walk, name), path_from_input(graph, node.inputs[0])
        columns = len(classes) or graph.weights[name].shape[-1]
        latent = graph.weights[name].decode()
        kept = largest_weights(latent.reshape(len(latent), -1), self.sparsity)
        order = sorting_order(kept.reshape(len(latent), -1, columns), self.width, self.sparsity)
        if np.array_equal(order, np.arange(columns)):
            return graph
        if classes:
            made = reordered(graph, walk, classes, order.tolist())
        else:
            made = None if path is None else with_gathered_input(graph, node, path, order.tolist())
        if made is None:
            ctx.notes.append(f"{self.name}: what makes the inputs of {node.name} can't change their order")
        return made or graph


def _binary_layers(graph: Graph) -> list[Node]:
    """Layers whose weights are signs, of a scale that is no power of two, and that no other layer uses."""
    return [
        node
        for node in graph.nodes
        if node.op in WEIGHTED
        and isinstance(weight := graph.weights[node.params["weight"]], Binary | BinaryPacks)
        and not (isinstance(weight, Binary) and weight.powers)
        and len(graph.users(node.params["weight"])) == 1
    ]


def _granularity(weight: Format) -> Granularity:
    assert isinstance(weight, Binary | BinaryPacks), "checked by _binary_layers"
    return "tensor" if weight.scale.size == 1 else "channel"


def _equal(before: Format, after: BinaryPacks) -> bool:
    if not isinstance(before, BinaryPacks) or before.width != after.width:
        return False
    return np.array_equal(before.kept, after.kept) and np.array_equal(before.bits, after.bits)
