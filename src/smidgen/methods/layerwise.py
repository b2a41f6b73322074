"""What the data-free techniques share: every layer is fitted alone, on inputs made up from BatchNorm.

A network without data falls apart into one problem a layer: the compressed weight W_c shall make of made-up
inputs x what W makes of them, min ||W_c x - W x||^2.
Ref: Horton, Jin, Farhadi, Rastegari 2020 (arXiv 2011.09058).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from smidgen.formats import Format
from smidgen.graph import Graph, Node
from smidgen.graph.structured import expand_structured
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import WEIGHTED
from smidgen.methods.quantize._chains import neighbours
from smidgen.methods.quantize.bias_correction import with_biases
from smidgen.methods.quantize.equalize import equalized
from smidgen.methods.step import Context, Needs, Step
from smidgen.probe.generated import Floats, Generated, Noise, Normal, stated

if TYPE_CHECKING:
    from smidgen.learn.layerwise import LayerFit

Law = Literal["batch_norm", "white"]
Layers = Mapping[str, Format]
DRAWS = 2048
UNIT = Normal(np.zeros(1), np.ones(1))


@dataclass(frozen=True)
class LayerWise(Step):
    """BatchNorm folded, channels equalized, then each layer's weights fitted and its bias corrected.

    Attributes:
        sweeps: passes of equalization (see `quantize.equalize`), 0: none.
        steps: updates a layer, 0: none.
        lr: of Adam, relative to the size of the weights.
        smoothness: the part of a channel's variance that neighbouring positions share, 0 to 1.
        law: of what layers read: as BatchNorm says, or `white` noise for every layer, as a control.
        input_low, input_high: the range of the network's inputs, about which no BatchNorm says anything:
            -3 and 3 for standardised ones, 0 and 1 for pixels.
    """

    needs: ClassVar[Needs] = "nothing"

    sweeps: int = 20
    steps: int = 300
    lr: float = 0.001
    smoothness: float = 0.8
    law: Law = "batch_norm"
    input_low: float = -3.0
    input_high: float = 3.0

    def __post_init__(self) -> None:
        for name in ("sweeps", "steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, not {self.lr}")
        if not 0 <= self.smoothness <= 1:
            raise ValueError(f"smoothness must be 0 to 1, not {self.smoothness}")
        if self.law not in ("batch_norm", "white"):
            raise ValueError(f"law must be batch_norm or white, not {self.law}")
        if not self.input_low < self.input_high:
            raise ValueError(f"input_low must be below input_high, not {self.input_low}, {self.input_high}")

    @abstractmethod
    def fitted(
        self, start: Format, x: Floats, target: Floats, fit: LayerFit, rng: np.random.Generator
    ) -> Format:
        """`start` after its layer was fitted: x [groups, n, inputs of a filter] -> target."""

    def equalized(self, graph: Graph, ctx: Context) -> tuple[Graph, Generated]:
        """The folded, equalized network, and what its values hold."""
        folded = canonical(graph)
        pairs = () if any(v.grid for v in folded.values.values()) else neighbours(folded)
        equal, divided = equalized(folded, pairs, self.sweeps, ctx.report)
        laws = stated(expand_structured(graph), folded)
        for node in (equal.node(name) for name in divided):
            if law := laws.get(node.output):
                by = divided[node.name]
                laws[node.output] = Normal(law.mean / by, law.deviation / by)
        if not laws:
            ctx.notes.append(f"{self.name}: no BatchNorm, all inputs of layers follow from white noise")
        noise = Noise(self.input_low, self.input_high)
        return equal, Generated(equal, laws, noise, DRAWS, self.smoothness, ctx.rng())

    def with_layers(self, graph: Graph, starts: Layers, generated: Generated, ctx: Context) -> Graph:
        """`graph` with its weights `starts` fitted, one layer after the other, and biases corrected."""
        from smidgen.learn.fit import threads_for

        if self.law == "white":
            inputs = {node.inputs[0]: UNIT for node in graph.nodes if node.op in WEIGHTED}
            generated = Generated(graph, inputs, generated.noise, DRAWS, 0.0, ctx.rng())
        layers = [n for n in graph.nodes if n.op in WEIGHTED and n.params["weight"] in starts]
        known = [node for node in layers if node.inputs[0] in generated.known]
        if rest := len(starts) - len({node.params["weight"] for node in known}):
            ctx.notes.append(f"{self.name}: {rest} weights have inputs of unknown law and are not fitted")
        changed, shifts = dict(starts), {}
        with threads_for(graph):
            for number, node in enumerate(known):
                ctx.report(number / len(known), f"fitting {node.name}, layer {number + 1} of {len(known)}")
                name = node.params["weight"]
                x = generated.inputs_of(node)
                assert x is not None
                if changed[name] is starts[name]:
                    changed[name] = self._fitted(graph, node, starts[name], x, ctx.rng())
                lost = graph.weights[name].decode() - changed[name].decode()
                shifts[node.name] = generated.outputs_of(node, x, lost).mean(axis=0, dtype=np.float64)
        return with_biases(graph.with_weights(changed), shifts)

    def _fitted(self, graph: Graph, node: Node, start: Format, x: Floats, rng: np.random.Generator) -> Format:
        from smidgen.learn.layerwise import LayerFit

        weight = graph.weights[node.params["weight"]].decode()
        target = x @ weight.reshape(len(x), weight.shape[0] // len(x), -1).transpose(0, 2, 1)
        return self.fitted(start, x, target, LayerFit(self.steps, self.lr), rng)
