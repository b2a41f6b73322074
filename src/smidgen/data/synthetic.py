"""Stand-ins where no data were brought: random inputs, the original network's outputs as targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput

Floats = npt.NDArray[np.float32]


def synthetic_splits(
    shape: Sequence[int], run: Callable[[Floats], Floats], samples: int, seed: int = 0
) -> Splits:
    """`samples` rows a split: half standard normal, half uniform in 0..1 as images are; judged by agreement.

    Raises BadInput: the outputs are not finite, or hardly depend on such inputs.
    """
    rng = np.random.default_rng(seed)
    train, validation, test = (_part(rng, shape, run, samples) for _ in range(3))
    for part in (validation, test):
        if not np.isfinite(part.y).all() or not (part.y.std(axis=0) > 0).any():
            raise BadInput(
                "data",
                "none was given, and on random inputs the network's outputs do not vary",
                "nothing can be compared",
                "Pass --data",
            )
    return Splits(train, validation, test, None, metric="agreement", synthetic=True)


def _part(
    rng: np.random.Generator, shape: Sequence[int], run: Callable[[Floats], Floats], samples: int
) -> Dataset:
    normal = rng.standard_normal((samples - samples // 2, *shape))
    x = np.concatenate([normal, rng.random((samples // 2, *shape))]).astype(np.float32)
    return Dataset(x, np.asarray(run(x), np.float32).reshape(samples, -1))
