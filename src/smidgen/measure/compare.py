"""The strongest alternative a user has, timed in the same run: ONNX Runtime with the float model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import MissingExtra
from smidgen.measure.timing import speedup
from smidgen.measurement import Measurement


def onnxruntime_call(model: Path, x: npt.NDArray[np.float32]) -> Callable[[], object]:
    """A call that runs the float ONNX file on `x` [1, ...] with one thread.

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


def speedup_over_onnxruntime(
    run: Callable[[], object], model: Path, x: npt.NDArray[np.float32], repeats: int = 200
) -> Measurement:
    """How many times faster `run` (one sample) is than the float ONNX model; both batch 1, interleaved."""
    return speedup(onnxruntime_call(model, x), run, repeats)
