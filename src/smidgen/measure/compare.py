"""The strongest alternative that a user has, as a call to be timed in the same run: ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from smidgen.errors import MissingExtra
from smidgen.numerics import Array


def onnxruntime_call(model: Path, x: Array) -> Callable[[], object]:
    """A call that runs an ONNX file on `x` [1, ...], of the type that the file takes, with one thread.

    Raises MissingExtra if onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as missing:
        raise MissingExtra("comparison with ONNX Runtime", "onnxruntime", "bench") from missing
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)
