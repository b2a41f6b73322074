"""The tables that built-in tasks are made from: columns, and cells decoded as readers decode the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.readers.images import ImageDecoder
from smidgen.data.readers.parquet import open_table
from smidgen.data.readers.recordings import AudioDecoder
from smidgen.errors import BadFile

Columns = Mapping[str, list[Any]]


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """The columns `names` as lists. Raises BadFile, BadInput (the file is no table) or MissingExtra."""
    opened = open_table(path)
    try:
        table = opened.read(columns=list(names))
        return {name: table.column(name).to_pylist() for name in names}
    except (ValueError, OSError, KeyError) as problem:  # pyarrow's errors are of these kinds
        found = f"columns {', '.join(names)} can't be read ({problem})"
        raise BadFile(str(path), found, "", "Fetch the file again") from problem


def decode_images(encoded: Sequence[bytes], shape: tuple[int, int, int], where: str) -> npt.NDArray[np.uint8]:
    """RGB images [n, H, W, 3]. Raises BadFile for another shape, and what ImageDecoder raises."""
    decode, pixels = ImageDecoder(channels=3), np.empty((len(encoded), *shape), np.uint8)
    for row, content in enumerate(encoded):
        image = decode.pixels(f"{where}, row {row}", content)
        if image.shape != shape:
            raise BadFile(where, f"image {row} is {list(image.shape)}", f"{list(shape)} is expected")
        pixels[row] = image
    return pixels


def decode_audio(
    encoded: Sequence[bytes], sample_rate: int, samples: int, where: str
) -> npt.NDArray[np.float32]:
    """Mono signals [n, samples] in [-1, 1]; ends are cut off or filled with zeros.

    Raises BadFile for another sample rate, and what AudioDecoder raises.
    """
    decode, signals = AudioDecoder(samples), np.empty((len(encoded), samples), np.float32)
    for row, content in enumerate(encoded):
        signals[row] = decode(f"{where}, row {row}", content)[:, 0]
        if decode.rate != sample_rate:
            found = f"recording {row} has {decode.rate} samples a second"
            raise BadFile(where, found, f"{sample_rate} are expected")
    return signals
