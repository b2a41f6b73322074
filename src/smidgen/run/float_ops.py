"""Real-valued operators in float32 NumPy: runs networks without torch, and the float parts of mixed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from smidgen.errors import IllegalGraph
from smidgen.formats import Integer
from smidgen.graph import Graph
from smidgen.graph.activations import ACTIVATION_FUNCTIONS
from smidgen.graph.shift_norm import shift_factor
from smidgen.graph.structured import expand_structured
from smidgen.graph.trees import problem_of, reached_leaves, summed
from smidgen.numerics import Array
from smidgen.run.interpreter import Function, Site, Watch, interpret_chunks
from smidgen.run.scan import run_scan
from smidgen.run.windows import convolve, window_counts, windows


def _softmax(site: Site, x: Sequence[Array]) -> Array:
    """Over the last axis. Where a mask lets nothing through, all weights are 0."""
    if "mask" not in site.weights:
        e = np.exp(x[0] - x[0].max(axis=-1, keepdims=True))
        return np.asarray(e / e.sum(axis=-1, keepdims=True))
    scores = np.where(site.weights["mask"] != 0, x[0], -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = e.sum(axis=-1, keepdims=True)
    return np.asarray(e / np.where(total == 0, 1, total))


def _normalize(site: Site, x: Sequence[Array]) -> Array:
    axes = tuple(axis + 1 for axis in site.attrs["axes"])
    centred = x[0] - x[0].mean(axis=axes, keepdims=True) if site.attrs["centered"] else x[0]
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    y = np.asarray(centred / np.sqrt(variance + np.float32(site.attrs["epsilon"])))
    w = site.weights
    return np.asarray(y * w.get("gamma", np.float32(1)) + w.get("beta", np.float32(0)))


def constant(site: Site, x: Sequence[Array]) -> Array:
    """The stored tensor once a sample; no copy is made."""
    value = site.weights["value"].astype(site.outputs[0].dtype, copy=False)
    return np.broadcast_to(value, (site.samples, *value.shape))


def _biased(site: Site, y: Array) -> Array:
    """`y`, which is the caller's own, with the bias added in place."""
    if "bias" in site.weights:
        y += site.weights["bias"]
    return y


def _linear(site: Site, x: Sequence[Array]) -> Array:
    return _biased(site, x[0] @ site.weights["weight"].T)


def _conv(site: Site, x: Sequence[Array]) -> Array:
    a = site.attrs
    y = convolve(x[0], site.weights["weight"], a["stride"], a["padding"], a["dilation"], a["groups"])
    return _biased(site, y)


def _batch_norm(site: Site, x: Sequence[Array]) -> Array:
    w = site.weights
    gain: Array = w["gamma"] / np.sqrt(w["variance"] + site.attrs["epsilon"])
    return (x[0] - w["mean"]) * gain + w["beta"]


def _shift_norm(site: Site, x: Sequence[Array]) -> Array:
    factor = shift_factor(site.weights["variance"], site.attrs["epsilon"], site.attrs["extra_scale"])
    return np.asarray((x[0] - site.weights["mean"]) * factor.astype(np.float32))


def _pool_windows(site: Site, x: Array, fill: float) -> tuple[Array, tuple[int, ...]]:
    a = site.attrs
    rank = len(a["kernel"])
    view = windows(x, a["kernel"], a["stride"], a["padding"], (1,) * rank, fill)
    return view, tuple(range(rank + 1, 2 * rank + 1))


def _max_pool(site: Site, x: Sequence[Array]) -> Array:
    view, axes = _pool_windows(site, x[0], -np.inf)
    return np.asarray(view.max(axis=axes))


def _avg_pool(site: Site, x: Sequence[Array]) -> Array:
    a = site.attrs
    view, axes = _pool_windows(site, x[0], 0.0)
    if a["count_padding"]:
        return np.asarray(view.mean(axis=axes))
    counts = window_counts(site.inputs[0].shape[:-1], a["kernel"], a["stride"], a["padding"])
    return np.asarray(view.sum(axis=axes) / counts[..., None], dtype=np.float32)


def _mean(site: Site, x: Sequence[Array]) -> Array:
    axes = tuple(axis + 1 for axis in site.attrs["axes"])
    return np.asarray(x[0].mean(axis=axes, keepdims=site.attrs["keepdims"]))


def reduce_max(site: Site, x: Sequence[Array]) -> Array:
    axes = tuple(axis + 1 for axis in site.attrs["axes"])
    return np.asarray(x[0].max(axis=axes, keepdims=site.attrs["keepdims"]))


def _pad(site: Site, x: Sequence[Array]) -> Array:
    return np.pad(x[0], [(0, 0), *site.attrs["pads"]], constant_values=site.attrs["value"])


def reshape(site: Site, x: Sequence[Array]) -> Array:
    return x[0].reshape(x[0].shape[0], *site.outputs[0].shape)


def transpose(site: Site, x: Sequence[Array]) -> Array:
    return np.ascontiguousarray(x[0].transpose(0, *(axis + 1 for axis in site.attrs["perm"])))


def concat(site: Site, x: Sequence[Array]) -> Array:
    return np.concatenate(list(x), axis=site.attrs["axis"] + 1)


def align(x: Sequence[Array]) -> list[Array]:
    """Per-sample broadcasting: missing leading axes go behind the batch axis."""
    rank = max(a.ndim for a in x)
    return [a.reshape(a.shape[0], *(1,) * (rank - a.ndim), *a.shape[1:]) for a in x]


def _add(site: Site, x: Sequence[Array]) -> Array:
    a, b = align(x)
    return a + b


def _mul(site: Site, x: Sequence[Array]) -> Array:
    a, b = align(x)
    return a * b


def _matmul(site: Site, x: Sequence[Array]) -> Array:
    a, b = align(x)
    return np.asarray(np.matmul(a * np.float32(site.attrs["scale"]), b))


def _sub(site: Site, x: Sequence[Array]) -> Array:
    a, b = align(x)
    return a - b


def slice_axis(site: Site, x: Sequence[Array]) -> Array:
    a = site.attrs
    taken = (slice(None),) * (a["axis"] + 1) + (slice(a["start"], a["stop"], a["step"]),)
    return np.ascontiguousarray(x[0][taken])


def _embedding(site: Site, x: Sequence[Array]) -> Array:
    """An index outside the table means its nearest row, so that no input is undefined."""
    weight = site.weights["weight"]
    return weight[np.clip(np.rint(x[0]).astype(np.int64), 0, len(weight) - 1)]


def spread(site: Site, x: Array, fill: float) -> Array:
    """The input with `fill` between its elements."""
    y = np.full((x.shape[0], *site.outputs[0].shape), fill, x.dtype)
    y[(slice(None), *(slice(None, None, step) for step in site.attrs["steps"]))] = x
    return y


def gather(site: Site, x: Sequence[Array]) -> Array:
    """Raises IllegalGraph for a position that the axis does not have."""
    axis, indices = site.attrs["axis"], site.weights["indices"].astype(np.int64)
    size = site.inputs[0].shape[axis]
    if indices.size and not 0 <= indices.min() <= indices.max() < size:
        raise IllegalGraph(site.node.name, f"positions up to {indices.max()}", f"the axis has {size}")
    return np.take(x[0], indices, axis=axis + 1)


def _scan(site: Site, x: Sequence[Array]) -> Sequence[Array]:
    return run_scan(site, x, FLOAT_FUNCTIONS)


def tree_sums(site: Site, x: Array) -> Array:
    """The sums [n, K] of a `trees` or `q.trees` node, float64 or int64. Raises IllegalGraph."""
    if problem := problem_of(site.weights, x.shape[1]):
        raise IllegalGraph(site.node.name, problem, "trees lead forward and stay inside their arrays")
    return summed(reached_leaves(x, site.weights), site.weights)


def _island(site: Site, x: Sequence[Array]) -> Sequence[Array]:
    from smidgen.run.islands import run_island

    return run_island(site.node, list(x))


def _elementwise(function: Callable[[Array], Array]) -> Function:
    return lambda site, x: function(x[0])


FLOAT_FUNCTIONS: Mapping[str, Function] = {
    "linear": _linear,
    "conv": _conv,
    "batch_norm": _batch_norm,
    "shift_norm": _shift_norm,
    **{name: _elementwise(function) for name, function in ACTIVATION_FUNCTIONS.items()},
    "softmax": _softmax,
    "normalize": _normalize,
    "constant": constant,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "mean": _mean,
    "reduce_max": reduce_max,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "matmul": _matmul,
    "add_constant": lambda site, x: x[0] + site.weights["constant"],
    "mul_constant": lambda site, x: x[0] * site.weights["constant"],
    "concat": concat,
    "reshape": reshape,
    "transpose": transpose,
    "pad": _pad,
    "slice": slice_axis,
    "spread": lambda site, x: spread(site, x[0], 0.0),
    "gather": gather,
    "overwrite": lambda site, x: x[0],
    "embedding": _embedding,
    "scan": _scan,
    "trees": lambda site, x: tree_sums(site, x[0]).astype(np.float32),
    "island": _island,
}


def run_float(graph: Graph, x: Array | Sequence[Array], watch: Watch | None = None) -> Array:
    """The first output of a float graph for float32 inputs [n, ...]. Declared grids are ignored."""
    return run_float_all(graph, x, watch)[0]


def run_float_all(graph: Graph, x: Array | Sequence[Array], watch: Watch | None = None) -> tuple[Array, ...]:
    """All outputs of a float graph, in their order; otherwise like `run_float`."""
    graph = expand_structured(graph)
    decoded = {
        name: fmt.array if isinstance(fmt, Integer) else fmt.decode() for name, fmt in graph.weights.items()
    }
    inputs = [np.asarray(a, dtype=np.float32) for a in ((x,) if isinstance(x, np.ndarray) else x)]
    return interpret_chunks(graph, inputs, FLOAT_FUNCTIONS, decoded.__getitem__, watch)
