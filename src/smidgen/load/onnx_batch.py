"""Where a tensor of one sample has its batch: among axes of size 1, any of them will do.

A file for a batch of one says [1, 1, 16] and means a batch, a layer and features, in which order it does not
tell. A sample, [1, 16], is the same either way. What reads several tensors, or needs the batch first, settles
it.
"""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int, ...]


def settled(sample: Shape, axis: int, wanted: int) -> int:
    """`wanted` where the batch can be there as well as at `axis`, else `axis`."""
    return wanted if wanted in _possible(sample, axis) else axis


def aligned(samples: Sequence[Shape], axes: Sequence[int]) -> list[int]:
    """Axes that are the same counted from the end, if the batch of all tensors can be there; else `axes`."""
    ends = [len(sample) + 1 for sample in samples]
    own = [axis - end for axis, end in zip(axes, ends, strict=True)]
    places = [
        {axis - end for axis in _possible(sample, given)}
        for sample, given, end in zip(samples, axes, ends, strict=True)
    ]
    shared = set.intersection(*places) if places else set()
    if len(set(own)) < 2 or not shared:
        return list(axes)
    place = next((place for place in own if place in shared), min(shared))
    return [place + end for end in ends]


def _possible(sample: Shape, axis: int) -> range:
    """All places of the batch axis that leave a sample of this shape as it is."""
    first = last = axis
    while first > 0 and sample[first - 1] == 1:
        first -= 1
    while last < len(sample) and sample[last] == 1:
        last += 1
    return range(first, last + 1)
