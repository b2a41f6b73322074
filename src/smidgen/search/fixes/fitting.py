"""What would make a network fit: a few recipes tried on its structure, without data or training.

Each is applied with its own code and lowered on made-up ranges; the bytes are those that the recipe leads to.
What they cost in accuracy is not known here: that takes data and `smidgen compress`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smidgen.graph import Graph
from smidgen.measure.feasibility import as_int8
from smidgen.measure.memory_map import memory_map
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, silent
from smidgen.targets.target import Target

CHANNELS = "- prune.channels: {{ratio: {}}}\n"
ZEROS = "- prune.global_magnitude: {sparsity: 0.8}\n"
# Steps before quantization, and bits of the weights.
TRIED = (
    ("", 8),
    ("", 4),
    ("", 2),
    (ZEROS, 8),
    *((CHANNELS.format(ratio), bits) for ratio in (0.25, 0.5, 0.75) for bits in (8, 4)),
)


@dataclass(frozen=True)
class Remedy:
    """A recipe, and the bytes it leads to: model constants in flash (no code), all RAM."""

    recipe: str
    model_bytes: int
    ram_bytes: int
    fits: bool


def remedies(
    graph: Graph,
    target: Target,
    limits: Mapping[str, float],
    report: Callable[[float, str], None] = silent,
) -> list[Remedy]:
    """`TRIED` on a float graph, those first that fit `limits` (flash_bytes, ram_bytes).

    Raises Unsupported if a node of the network has no kernel.
    """
    found = []
    for number, (steps, bits) in enumerate(TRIED):
        report(number / len(TRIED), "trying remedies")
        changed = Recipe.from_yaml(steps).apply(graph, Context(None, graph)) if steps else graph
        made = memory_map(as_int8(changed, bits), target)
        fits = made.model_bytes <= limits.get("flash_bytes", float("inf")) and made.ram_bytes <= limits.get(
            "ram_bytes", float("inf")
        )
        text = f"{steps}- quantize.affine: {{bits: {bits}}}".replace("\n- ", " + ").removeprefix("- ")
        found.append(Remedy(text, made.model_bytes, made.ram_bytes, fits))
    return sorted(found, key=lambda remedy: not remedy.fits)
