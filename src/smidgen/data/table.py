"""Columns of Parquet files, and the pictures and recordings that their cells hold."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile, MissingExtra

EXTRA = "tasks"
Columns = Mapping[str, list[Any]]


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """The columns `names` as lists. Raises BadFile or MissingExtra."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as missing:
        raise MissingExtra("reading Parquet files", "pyarrow", EXTRA) from missing
    try:
        table = parquet.read_table(path, columns=list(names))
        return {name: table.column(name).to_pylist() for name in names}
    except (arrow.ArrowException, OSError, KeyError) as problem:
        found = f"columns {', '.join(names)} can't be read ({problem})"
        raise BadFile(str(path), found, "", "Fetch the file again") from problem


def decode_images(encoded: Sequence[bytes], shape: tuple[int, int, int], where: str) -> npt.NDArray[np.uint8]:
    """RGB images [n, H, W, 3] from JPEG or PNG bytes. Raises BadFile or MissingExtra."""
    try:
        from PIL import Image
    except ImportError as missing:
        raise MissingExtra("reading images", "pillow", EXTRA) from missing
    pixels = np.empty((len(encoded), *shape), np.uint8)
    for row, content in enumerate(encoded):
        try:
            image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        except (OSError, SyntaxError, ValueError) as problem:
            raise BadFile(where, f"image {row} can't be read ({problem})", "", "Fetch it again") from problem
        if image.shape != shape:
            raise BadFile(where, f"image {row} is {list(image.shape)}", f"{list(shape)} is expected")
        pixels[row] = image
    return pixels


def decode_audio(
    encoded: Sequence[bytes], sample_rate: int, samples: int, where: str
) -> npt.NDArray[np.float32]:
    """Mono signals [n, samples] in [-1, 1] from FLAC or WAV bytes; ends are cut off or filled with zeros.

    Raises:
        BadFile: a recording can't be read, has several channels or another sample rate.
        MissingExtra: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as missing:  # OSError: the package is there, its library is not
        raise MissingExtra("reading audio", "soundfile", EXTRA) from missing
    signals = np.zeros((len(encoded), samples), np.float32)
    for row, content in enumerate(encoded):
        try:
            signal, rate = soundfile.read(io.BytesIO(content), samples, dtype="float32")
        except (soundfile.LibsndfileError, TypeError) as problem:
            found = f"recording {row} can't be read ({problem})"
            raise BadFile(where, found, "", "Fetch the file again") from problem
        if rate != sample_rate or signal.ndim != 1:
            found = f"recording {row} has {rate} samples a second, shape {list(signal.shape)}"
            raise BadFile(where, found, f"mono at {sample_rate} is expected")
        signals[row, : len(signal)] = signal
    return signals
