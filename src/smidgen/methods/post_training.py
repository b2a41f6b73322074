"""What the post-training techniques share: calibration samples, grids of activations, weights on grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset
from smidgen.formats import Format, Sparse
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph, Node
from smidgen.lower.grids import declared_grids, grid_owners, with_grids
from smidgen.methods.step import Context
from smidgen.probe.calibration import batch_size, calibrate

NOTABLE_MERGED = 0.1  # the share of thresholds that coincide from which on trees lose accuracy
WEIGHTED = ("linear", "conv")
STORED = (*WEIGHTED, "embedding")
Fit = Callable[[npt.NDArray[np.float32], int], Format]  # float weights [O, ...], bits -> quantized


def calibration_samples(step: str, ctx: Context, count: int) -> Dataset:
    """`count` samples of the training split, drawn by the context's seed. Raises BadInput without data."""
    train = ctx.need_data(step).train
    return train.take(ctx.rng().permutation(len(train))[:count])


def calibration_batches(graph: Graph, samples: Dataset, ctx: Context) -> Iterator[Dataset]:
    """`samples` in batches that suit the network's size, read one by one.

    The context hears how far this is, as the beginning of whatever its step does.
    """
    done = 0
    for batch in samples.batches(batch_size(graph)):
        yield batch
        done += len(batch)
        ctx.report(0.0, f"calibration: {done} of {len(samples)} samples")


def with_activation_grids(graph: Graph, samples: Dataset, bits: int, rule: RangeRule, ctx: Context) -> Graph:
    """`graph` (canonical) with a grid for every activation: its own where it has one, else calibrated."""
    kept = declared_grids(graph)
    missing = set(grid_owners(graph).values()) - set(kept)
    if kept:
        ctx.notes.append(f"{len(kept)} activations have grids already, which stay")
    if not missing:
        return graph
    batches = (batch.x for batch in calibration_batches(graph, samples, ctx))
    gridded = with_grids(graph, {**calibrate(graph, batches, bits, rule, ctx.seed), **kept})
    ctx.notes.extend(note for node in gridded.nodes if (note := _merged_thresholds(gridded, node)))
    return gridded


def _merged_thresholds(graph: Graph, node: Node) -> str:
    """What is worth saying about trees whose input's grid is too coarse for a feature of small range."""
    grid = graph.values[node.inputs[0]].grid if node.op == "trees" else None
    if grid is None:
        return ""
    feature, real = (graph.weights[node.params[role]].decode() for role in ("feature", "threshold"))
    places = grid.quantize(real)
    before, after = (len(np.unique(np.column_stack([feature, t]), axis=0)) for t in (real, places))
    if after > before * (1 - NOTABLE_MERGED):
        return ""
    found = f"{before} thresholds become {after} on the {grid.bits}-bit grid of the input"
    return f"{node.name}: {found}. Bring the features of the data to similar ranges"


def weight_names(graph: Graph) -> tuple[str, ...]:
    """Weights that integers replace, in the order of the layers, tied ones once.

    Those of linear and conv layers, of the gates of recurrent ones, and tables of embeddings (an entry of
    which is a row: it has the scale that a channel has elsewhere).
    """
    return tuple(dict.fromkeys(node.params["weight"] for node in graph.walk() if node.op in STORED))


def quantized_weights(graph: Graph, bits: Mapping[str, int], fit: Fit) -> dict[str, Format]:
    """The weights named in `bits`, each on a grid of so many bits."""
    return {name: _quantized(graph.weights[name], width, fit) for name, width in bits.items()}


def unrounded(weight: Format) -> npt.NDArray[np.float32]:
    """The float weights; what a pruned weight would be without its mask is not part of the function."""
    if isinstance(weight, Sparse):
        return np.where(weight.mask, weight.latent, np.float32(0))
    return weight.latent


def _quantized(weight: Format, bits: int, fit: Fit) -> Format:
    return weight.map_dense(lambda dense: fit(dense, bits))
