"""Weight formats that kernels read as they are stored, as hypothesis strategies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from smidgen.formats import Affine, Binary, Codebook, Format, Sparse, Ternary

seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=3)


@st.composite
def affine(draw, shape: Sequence[int]) -> Affine:
    """Any affine format: 2 to 8 bits, per tensor, channel or group, with zero points or not."""
    weight = np.random.default_rng(draw(seeds)).normal(size=shape).astype(np.float32)
    granularity = draw(st.sampled_from(["tensor", "channel", "group"]))
    symmetric = granularity == "group" or draw(st.booleans())
    group = draw(st.integers(1, 12))
    return Affine.fit(weight, draw(st.integers(2, 8)), granularity, symmetric, group_size=group)


@st.composite
def codebook(draw, shape: Sequence[int]) -> Codebook:
    """Any number of shared values, 1 to 256."""
    weight = np.random.default_rng(draw(seeds)).normal(size=shape).astype(np.float32)
    return Codebook.fit(weight, draw(st.integers(1, 8)))


@st.composite
def few_values(draw, shape: Sequence[int]) -> Format:
    """Binary and ternary, with one scale or one a channel."""
    weight = np.random.default_rng(draw(seeds)).normal(size=shape).astype(np.float32)
    return draw(st.sampled_from([Binary, Ternary])).fit(weight, draw(st.sampled_from(["tensor", "channel"])))


@st.composite
def stored(draw, shape: Sequence[int] | None = None) -> Format:
    """`shape` [O, ...], or a small one of two or three axes; sparse ones from empty to full."""
    shape = tuple(draw(shapes) if shape is None else shape)
    fmt = draw(st.one_of(affine(shape), codebook(shape), few_values(shape)))
    if not draw(st.booleans()):
        return fmt
    density = draw(st.sampled_from([0.0, 0.02, 0.2, 0.7, 1.0]))
    return Sparse(np.random.default_rng(draw(seeds)).random(fmt.shape) < density, fmt)
