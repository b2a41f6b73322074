"""Low-rank factorization by the principal components of what a layer answers to real inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from smidgen.data.dataset import Dataset
from smidgen.formats import Dense
from smidgen.graph import Graph, Node
from smidgen.graph.names import unused
from smidgen.methods.factorize._ranks import (
    Budget,
    Matrix,
    Split,
    check_budget,
    chosen_share,
    factorable,
    factored,
    has_grids,
)
from smidgen.methods.post_training import calibration_batches, calibration_samples
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Stage, Step
from smidgen.numerics import Array
from smidgen.run.float_ops import run_float


@dataclass(frozen=True)
class ResponsePCA(Step):
    """y = W x + b becomes U U^T (y - m) + m: left = U [O, r], right = U^T W, and the bias that this takes.

    U: the first r eigenvectors of the covariance of y, m its mean, over the calibration samples (and
    positions of a convolution). No other rank-r layer with a bias has a smaller squared error on those
    samples, where `factorize.svd` treats all inputs as equally likely. One share of the energy (variance of
    y) for all layers sets their ranks; a layer is factored where that saves weights. Tied weights stay whole.
    Ref: Zhang et al. 2016 (arXiv 1505.06798), section 3.1.

    Attributes:
        keep: above 0, at most 1: the share of the energy that every factored layer reaches at least; or, by
            `weights`, the share of all plain layers' weights that may stay: the most energy that allows that.
        by: what `keep` counts, `energy` or `weights`.
        samples: calibration samples, taken from the training split.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE

    keep: float = 0.9
    by: Budget = "energy"
    samples: int = 256

    def __post_init__(self) -> None:
        check_budget(self.keep, self.by)
        if self.samples < 2:
            raise ValueError(f"samples must be at least 2, not {self.samples}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if has_grids(graph, self.name, ctx.notes):
            return graph
        single = {name: w for name, w in factorable(graph) if len(graph.users(name)) == 1}
        layers = {graph.users(name)[0].name: name for name in single}
        if not layers:
            ctx.notes.append(f"{self.name}: no plain layer holds float weights, nothing changes")
            return graph
        ctx.report(0.0, f"responses of {len(layers)} layers")
        samples = calibration_samples(self.name, ctx, self.samples)
        moments = response_moments(graph, layers, calibration_batches(graph, samples, ctx))
        splits = {name: principal(single[name], moments[node]) for node, name in layers.items()}
        share = chosen_share(splits.values(), self.keep, self.by)
        changed = factored(splits, share, self.name, ctx.notes)
        for node, name in layers.items():
            if name in changed:
                basis = splits[name].basis[:, : changed[name].rank]
                graph = _with_bias(graph, graph.node(node), basis, moments[node].mean)
        return graph.with_weights(changed)

    def space(self, graph: Graph) -> Space:
        return {"keep": Range(0.1, 0.9), "by": Choice(("energy", "weights"))}


@dataclass
class Moments:
    """Sums over responses y [O]: how many, sum of y, sum of y y^T."""

    count: int
    total: Matrix
    squares: Matrix

    @property
    def mean(self) -> Matrix:
        return self.total / self.count

    @property
    def covariance(self) -> Matrix:
        centred: Matrix = self.squares / self.count - np.outer(self.mean, self.mean)
        return centred


def response_moments(
    graph: Graph, layers: Mapping[str, str], batches: Iterable[Dataset]
) -> dict[str, Moments]:
    """Of the outputs of the nodes that `layers` names, over samples and positions."""
    found: dict[str, Moments] = {}

    def watch(node: Node, outputs: Sequence[Array]) -> None:
        if node.name in layers:
            y = outputs[0].reshape(-1, outputs[0].shape[-1]).astype(np.float64)
            seen = found.setdefault(node.name, Moments(0, np.zeros(y.shape[1]), np.zeros((y.shape[1],) * 2)))
            seen.count += len(y)
            seen.total += y.sum(axis=0)
            seen.squares += y.T @ y

    for batch in batches:
        run_float(graph, batch.x, watch)
    return found


def principal(weight: Dense, moments: Moments) -> Split:
    """The weight [O, …, I] along the eigenvectors of its responses' covariance."""
    values, vectors = np.linalg.eigh(moments.covariance)
    basis = vectors[:, ::-1]
    rows = basis.T @ weight.array.reshape(weight.shape[0], -1).astype(np.float64)
    return Split(weight.shape, basis, rows, np.maximum(values[::-1], 0.0))


def _with_bias(graph: Graph, node: Node, basis: Matrix, mean: Matrix) -> Graph:
    """The node with the bias U U^T (b - m) + m."""
    old = graph.weights[node.params["bias"]].decode() if "bias" in node.params else np.zeros(len(mean))
    bias = basis @ (basis.T @ (old.astype(np.float64) - mean)) + mean
    name = node.params.get("bias", "")
    if len(graph.users(name)) != 1:  # none yet, or one that other layers need as it is
        name = unused(set(graph.weights), f"{node.name}.bias")
    changed = replace(node, params={**node.params, "bias": name})
    return graph.with_weights({name: Dense(bias.astype(np.float32))}).replace(node.name, changed)
