"""Runs an island before it is accepted: it must work on any number of samples, each for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from smidgen.errors import first_line
from smidgen.load.onnx_limits import check_sizes
from smidgen.load.source import NotCaptured
from smidgen.numerics import Array
from smidgen.run.onnx_reference import evaluator

SAMPLES = 2
RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
_BIT_PATTERNS = frozenset({"BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"})
_WIDE = (TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64)

Ports = Mapping[str, tuple[int, Sequence[int]]]  # name -> element type, shape of one sample


class Result(NamedTuple):
    """An output of a cutting: element type, shape, and whether its first axis is the batch."""

    kind: int
    shape: tuple[int, ...]
    leads: bool

    @property
    def sample(self) -> tuple[int, ...]:
        return self.shape[1:]


def probe(model: Any, ports: Ports) -> list[Result]:
    """What a run on made-up samples shows of each output of a model for any number of samples.

    Raises:
        NotCaptured: the model draws random numbers, can't be run on several samples, or a result for a
            sample depends on the others or has a size that depends on the numbers.
    """
    _check(model, ports)

    def attempt(feed: Mapping[str, Array]) -> list[Result]:
        alone = [{name: x[i : i + 1] for name, x in feed.items()} for i in range(SAMPLES)]
        several, (first, last) = _run(model, feed), [_run(model, one) for one in alone]
        _compared([a[::-1] if a.ndim else a for a in several], last)
        return _compared(several, first)

    return _attempts(attempt, ports)[0]


def probe_one(model: Any, ports: Ports) -> list[Result]:
    """The same for a model that only takes one sample at a time, and so can't mix any."""
    _check(model, ports)

    def attempt(feed: Mapping[str, Array]) -> list[Result]:
        arrays = _run(model, {name: x[:1] for name, x in feed.items()})
        return [Result(_kind(a), a.shape, a.shape[:1] == (1,)) for a in arrays]

    found = _attempts(attempt, ports)
    if any(results != found[0] for results in found):
        raise NotCaptured("the size of its result depends on the numbers", "Work on sizes that are fixed")
    return found[0]


def _attempts(attempt: Callable[[Mapping[str, Array]], list[Result]], ports: Ports) -> list[list[Result]]:
    """What the made-up samples gave that the model could be run on. Raises NotCaptured if there are none."""
    made = [_attempted(attempt, feed) for feed in _feeds(ports)]
    found = [results for results in made if not isinstance(results, str)]
    if not found:
        raise NotCaptured(f"onnx can't run it ({made[0]})")
    return found


def _attempted(attempt: Callable[[Mapping[str, Array]], list[Result]], feed: Mapping[str, Array]) -> Any:
    """The results, or what went wrong: the foreign runtime throws whatever it likes."""
    try:
        return attempt(feed)
    except NotCaptured:
        raise
    except Exception as failure:
        return first_line(failure)


def _check(model: Any, ports: Ports) -> None:
    try:
        check_sizes(model)
    except ValueError as problem:
        raise NotCaptured(f"onnx can't run it ({first_line(problem)})") from problem
    for node in model.graph.node:
        _check_repeatable(node)
        _check_exact(node, ports)


def _compared(several: Sequence[Array], one: Sequence[Array]) -> list[Result]:
    results = []
    for a, b in zip(several, one, strict=True):
        leads = (a.shape[:1], b.shape[:1]) == ((SAMPLES,), (1,))
        if leads and a.shape[1:] != b.shape[1:]:
            raise NotCaptured("the size of its result depends on the numbers", "Work on sizes that are fixed")
        if leads and not _close(a[:1], b):
            raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
        results.append(Result(_kind(a), a.shape, leads))
    return results


def _kind(array: Array) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _run(model: Any, feed: Mapping[str, Array]) -> list[Array]:
    with np.errstate(all="ignore"):
        results: list[Any] = evaluator(model).run(None, dict(feed))
    if not all(isinstance(result, (np.ndarray, np.generic)) for result in results):
        raise NotCaptured("its result is a sequence, not a tensor", "Return tensors")
    arrays = [np.asarray(result) for result in results]
    if any(array.dtype.kind in "OUSc" for array in arrays):
        raise NotCaptured("its result is text or complex numbers", "Return real numbers")
    return arrays


def _close(a: Array, b: Array) -> bool:
    """Equal, but for another order of sums."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.abs(b[np.isfinite(b)])
    floor = 1e-4 * float(finite.max()) if finite.size else 0.0
    return bool(np.allclose(a, b, rtol=1e-3, atol=floor, equal_nan=True))


def _feeds(ports: Ports) -> list[dict[str, npt.NDArray[Any]]]:
    """Made-up samples to try: zeros, or the last index, may fit where other whole numbers do not."""
    made = _made_up(ports)
    if all(x.dtype.kind not in "iu" for x in made.values()):
        return [made]
    last = {name: -np.ones_like(x) if x.dtype.kind == "i" else x for name, x in made.items()}
    return [made, {name: np.zeros_like(x) for name, x in made.items()}, last]


def _made_up(ports: Ports) -> dict[str, npt.NDArray[Any]]:
    """Random samples; whole numbers are small, as they may be indices and lengths."""
    rng, made = np.random.default_rng(0), {}
    for name, (kind, shape) in ports.items():
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        size = (SAMPLES, *shape)
        whole = dtype.kind in "iub"
        made[name] = (rng.integers(0, 2, size) if whole else rng.normal(size=size)).astype(dtype)
    return made


def _check_repeatable(node: Any) -> None:
    training = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]
    if node.op_type in RANDOM or training:
        raise NotCaptured("it draws random numbers", "Export in evaluation mode, without random operators")


def _check_exact(node: Any, ports: Ports) -> None:
    """Between islands numbers are float32, which has 24 bits."""
    if node.op_type in _BIT_PATTERNS and any(kind in _WIDE for kind, _ in ports.values()):
        raise NotCaptured("it works on patterns of 32 bits or more", "Use whole numbers below 2**24")
