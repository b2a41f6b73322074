"""The one training loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.learn.hooks import FitState, Hook
from smidgen.learn.objectives.cross_entropy import CrossEntropy
from smidgen.learn.objectives.objective import Objective
from smidgen.learn.twin import GraphTwin
from smidgen.lower.grids import without_grids

EVAL_BATCH = 512
SMALL_MACS = 4_000_000


@dataclass(frozen=True)
class FitSettings:
    """`lr` is the peak of a cosine schedule; `patience` epochs without a better validation accuracy stop the
    training and bring back the best weights (0: train to the end; so does a schedule that hooks drive, whose
    earlier states are unfinished).
    """

    epochs: int = 10
    lr: float = 1e-3
    batch_size: int = 64
    patience: int = 0


def fit(
    graph: Graph,
    data: Splits,
    settings: FitSettings | None = None,
    objective: Objective | None = None,
    hooks: Sequence[Hook] = (),
    seed: int = 0,
    report: Callable[[float, str], None] = lambda fraction, message: None,
) -> Graph:
    """Train `graph` on `data.train` and return the trained graph. Same seed, same result on one machine.

    Raises:
        BadInput: the loss became NaN or infinite.
    """
    settings = settings or FitSettings()
    with torch.random.fork_rng(devices=[]), threads_for(graph):
        torch.manual_seed(seed)
        return _fit(graph, data, settings, objective or CrossEntropy(), hooks, seed, report)


@contextmanager
def threads_for(graph: Graph) -> Iterator[None]:
    """One thread for a small network: sharing its tiny operators out costs more than it saves (up to 25 times
    on a busy machine), and the result no longer depends on the number of cores.
    """
    before = torch.get_num_threads()
    if sum(macs(graph).values()) < SMALL_MACS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(
    graph: Graph,
    data: Splits,
    settings: FitSettings,
    objective: Objective,
    hooks: Sequence[Hook],
    seed: int,
    report: Callable[[float, str], None],
) -> Graph:
    twin = GraphTwin(graph)
    fabric = Fabric(accelerator="auto", devices=1)
    twin.to(fabric.device)
    x = torch.from_numpy(data.train.x).to(fabric.device)
    y = torch.from_numpy(data.train.y).to(fabric.device)
    steps = max(len(data.train) // settings.batch_size, 1)
    state = FitState(twin, settings.epochs, steps)
    objective.start(twin, settings.lr, settings.epochs * steps)
    _call(hooks, "on_fit_start", state)
    patience = 0 if hooks else settings.patience
    best = _Best(patience)
    rng = np.random.default_rng(seed)
    for epoch in range(settings.epochs):
        state.epoch = epoch
        _call(hooks, "on_epoch_start", state)
        loss = _epoch(state, objective, hooks, fabric, x, y, settings.batch_size, rng)
        message = f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.3f}"
        if not np.isfinite(loss):
            raise BadInput(
                "training", f"the loss is {loss} in epoch {epoch + 1}", "", "Lower the learning rate"
            )
        if patience and best.stop(twin, accuracy(twin, data.validation)):
            break
        report((epoch + 1) / settings.epochs, message)
    best.restore(twin)
    state.epoch, state.step = settings.epochs, settings.epochs * steps
    twin.progress(1.0)
    _call(hooks, "on_fit_end", state)
    return twin.to("cpu").freeze()


def _epoch(
    state: FitState,
    objective: Objective,
    hooks: Sequence[Hook],
    fabric: Fabric,
    x: torch.Tensor,
    y: torch.Tensor,
    batch_size: int,
    rng: np.random.Generator,
) -> float:
    """One pass over the training data, a last incomplete batch left out; the mean loss."""
    state.twin.train()
    order = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    total = 0.0
    for i in range(state.steps_per_epoch):
        pick = order[i * batch_size : (i + 1) * batch_size]
        state.twin.progress(state.t)
        logs = objective.update((x[pick], y[pick]), fabric.backward)
        total += logs["loss"]
        state.step += 1
        _call(hooks, "on_step", state)
    return total / state.steps_per_epoch


class _Best:
    """Remembers the best weights by validation accuracy."""

    def __init__(self, patience: int) -> None:
        self.patience, self.accuracy, self.waited = patience, -1.0, 0
        self.weights: dict[str, Any] | None = None

    def stop(self, twin: GraphTwin, found: float) -> bool:
        if found > self.accuracy:
            self.accuracy, self.waited = found, 0
            self.weights = copy.deepcopy(twin.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience

    def restore(self, twin: GraphTwin) -> None:
        if self.weights is not None:
            twin.load_state_dict(self.weights)


@torch.no_grad()
def logits(
    twin: GraphTwin, x: np.ndarray[Any, np.dtype[np.float32]]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Outputs of a twin in evaluation mode, in batches."""
    twin.eval()
    device = next(twin.buffers(), next(twin.parameters(), torch.zeros(1))).device
    parts = [
        twin(torch.from_numpy(x[i : i + EVAL_BATCH]).to(device)).cpu() for i in range(0, len(x), EVAL_BATCH)
    ]
    outputs: np.ndarray[Any, np.dtype[np.float32]] = torch.cat(parts).numpy()
    return outputs


def accuracy(twin: GraphTwin, data: Dataset) -> float:
    """Share of correct classes, 0..1, of the (fake-quantized) twin: for early stopping only."""
    return float((logits(twin, data.x).argmax(axis=1) == data.y).mean())


def float_logits(
    graph: Graph, x: np.ndarray[Any, np.dtype[np.float32]]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Outputs of a float graph through torch: the quick way to evaluate the uncompressed network."""
    with threads_for(graph):
        return logits(GraphTwin(without_grids(graph)), x)


def _call(hooks: Sequence[Hook], event: str, state: FitState) -> None:
    for hook in hooks:
        getattr(hook, event)(state)
