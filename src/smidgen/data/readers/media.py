"""Many encoded files → one float32 array, its memory known first, or rows decoded when needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.data.rows import Rows
from smidgen.errors import BadInput
from smidgen.limits import LIMIT, decoded_bytes_limit
from smidgen.units import format_bytes

Floats = npt.NDArray[np.float32]
Blob = bytes | Path
Decode = Callable[[str, Blob], Floats]  # (how errors call it, contents) -> one sample

MAX_ITEM_BYTES = 256 << 20  # of one encoded file
KEPT_BYTES = 256 << 20  # decoded files that take more are decoded again whenever they are needed


def stack(items: Iterable[tuple[str, Blob]], count: int, decode: Decode, where: str, remedy: str) -> Floats:
    """[count, ...]: every item decoded; all must have the shape of the first.

    Raises BadInput: nothing there, two shapes, too many bytes; whatever `decode` refuses.
    """
    stacked: Floats | None = None
    first, filled = "", 0
    for name, blob in items:
        sample = decode(name, blob)
        if stacked is None:
            first, stacked = name, _room(count, sample, where)
        else:
            _check_shape(name, sample, first, stacked.shape[1:], remedy)
        if filled == count:
            raise BadInput(where, f"more than the {count} rows that it claims", "", "Write the file again")
        stacked[filled] = sample
        filled += 1
    if stacked is None or filled < count:
        raise BadInput(where, f"{filled} of {count} samples", "all are needed")
    return stacked


def rows_of(files: Sequence[Path], decode: Decode, where: str, remedy: str) -> Floats | Rows:
    """All files decoded, where that is small; else every file is looked at once and rows decode when needed.

    Raises BadInput as `stack` does.
    """
    if not files:
        raise BadInput(where, "0 of 0 samples", "all are needed")
    first = decode(str(files[0]), files[0])
    if len(files) * first.nbytes <= KEPT_BYTES:
        return stack(((str(file), file) for file in files), len(files), decode, where, remedy)
    for file in files[1:]:
        _check_shape(str(file), decode(str(file), file), str(files[0]), first.shape, remedy)
    paths = tuple(files)
    return Rows(lambda n: decode(str(paths[n]), paths[n]), first.shape, np.arange(len(paths)), where)


def _check_shape(name: str, sample: Floats, first: str, shape: tuple[int, ...], remedy: str) -> None:
    if sample.shape != shape:
        found = f"{_show(sample.shape)}, {first} {_show(shape)}"
        raise BadInput(name, f"its shape is {found}", "all must have one shape", remedy)


def check_size(name: str, blob: Blob) -> None:
    """Raise BadInput for an encoded file that is empty or unreasonably large."""
    n = blob.stat().st_size if isinstance(blob, Path) else len(blob)
    if not 0 < n <= MAX_ITEM_BYTES:
        raise BadInput(name, f"it has {n:,} bytes", f"1 byte to {format_bytes(MAX_ITEM_BYTES)} are read")


def _room(count: int, sample: Floats, where: str) -> Floats:
    needed = count * sample.nbytes
    allowed = decoded_bytes_limit()
    if needed > allowed:
        found = f"{count:,} samples of shape {_show(sample.shape)} take {format_bytes(needed)} of memory"
        raise BadInput(where, found, f"{format_bytes(allowed)} are allowed", LIMIT)
    return np.empty((count, *sample.shape), np.float32)


def _show(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
