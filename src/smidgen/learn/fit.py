"""The one training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.metrics import Metric, metric_for
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.learn.hooks import FitState, Hook
from smidgen.learn.objectives.choose import loss_for
from smidgen.learn.objectives.objective import Batch, Objective
from smidgen.learn.twin import GraphTwin
from smidgen.lower.grids import without_grids

EVAL_BATCH = 512
SMALL_MACS = 4_000_000


@dataclass(frozen=True)
class FitSettings:
    """`lr` is the peak of a cosine schedule; `patience` epochs without a better validation accuracy (or
    agreement, see `Objective.targets`) stop the training and bring back the best weights (0: train to the
    end; so does a schedule that hooks drive, whose earlier states are unfinished).
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

    Without an `objective`, `data` says which loss is minimised.

    Raises:
        BadInput: the loss became NaN or infinite.
    """
    settings = settings or FitSettings()
    with torch.random.fork_rng(devices=[]), threads_for(graph):
        torch.manual_seed(seed)
        return _fit(graph, data, settings, objective or loss_for(data), hooks, seed, report)


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
    batches = _Batches(data, settings.batch_size, fabric.device, seed)
    steps = len(batches)
    state = FitState(twin, settings.epochs, steps)
    _call(hooks, "on_fit_start", state)  # first: hooks may put other twins in place
    objective.start(twin, settings.lr, settings.epochs * steps)
    patience, metric = (0 if hooks else settings.patience), metric_for(data)
    best = _Best(patience)
    validation = replace(data.validation, y=objective.targets(data.validation)) if patience else None
    for epoch in range(settings.epochs):
        state.epoch = epoch
        _call(hooks, "on_epoch_start", state)
        loss = _epoch(state, objective, hooks, fabric, batches)
        message = f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.3f}"
        if not np.isfinite(loss):
            raise BadInput(
                "training", f"the loss is {loss} in epoch {epoch + 1}", "", "Lower the learning rate"
            )
        if validation is not None and best.stop(twin, gain(twin, validation, metric)):
            break
        report((epoch + 1) / settings.epochs, message)
    best.restore(twin)
    state.epoch, state.step = settings.epochs, settings.epochs * steps
    twin.progress(1.0)
    _call(hooks, "on_fit_end", state)
    return twin.to("cpu").freeze()


def _epoch(
    state: FitState, objective: Objective, hooks: Sequence[Hook], fabric: Fabric, batches: _Batches
) -> float:
    """One pass over the training data; the mean loss."""
    state.twin.train()
    total = 0.0
    for batch in batches.shuffled():
        state.twin.progress(state.t)
        logs = objective.update(batch, fabric.backward)
        total += logs["loss"]
        state.step += 1
        _call(hooks, "on_step", state)
    return total / state.steps_per_epoch


class _Batches:
    """The training samples in a new order every epoch, varied if the data say so; a last incomplete batch is
    left out.
    """

    def __init__(self, data: Splits, size: int, device: torch.device, seed: int) -> None:
        self.x = torch.from_numpy(data.train.x).to(device)
        self.y = torch.from_numpy(data.train.y).to(device)
        self.size, self.augmentation = size, data.augmentation
        self.orders, self.variations = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def __len__(self) -> int:
        return max(len(self.x) // self.size, 1)

    def shuffled(self) -> Iterator[Batch]:
        order = torch.from_numpy(self.orders.permutation(len(self.x))).to(self.x.device)
        for i in range(len(self)):
            pick = order[i * self.size : (i + 1) * self.size]
            yield self._varied(self.x[pick]), self.y[pick]

    def _varied(self, x: torch.Tensor) -> torch.Tensor:
        if self.augmentation is None:
            return x
        return torch.from_numpy(self.augmentation(x.cpu().numpy(), self.variations)).to(x.device)


class _Best:
    """Remembers the best weights by the gain on validation."""

    def __init__(self, patience: int) -> None:
        self.patience, self.gain, self.waited = patience, -math.inf, 0
        self.weights: dict[str, Any] | None = None

    def stop(self, twin: GraphTwin, found: float) -> bool:
        if found > self.gain:
            self.gain, self.waited = found, 0
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


def gain(twin: GraphTwin, data: Dataset, metric: Metric) -> float:
    """The metric's gain of the (fake-quantized) twin: for early stopping only."""
    return metric.gain(metric.predictions(logits(twin, data.x)), data.y)


def float_logits(
    graph: Graph, x: np.ndarray[Any, np.dtype[np.float32]]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Outputs of a float graph through torch: the quick way to evaluate the uncompressed network."""
    with threads_for(graph):
        return logits(GraphTwin(without_grids(graph)), x)


def _call(hooks: Sequence[Hook], event: str, state: FitState) -> None:
    for hook in hooks:
        getattr(hook, event)(state)
