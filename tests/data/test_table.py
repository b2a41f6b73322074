"""Columns, pictures and recordings, and what is said when they are not what they should be."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import soundfile
from PIL import Image

from smidgen.data.table import decode_audio, decode_images, read_columns
from smidgen.errors import BadFile, BadInput, MissingExtra


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def flac(signal: np.ndarray, rate: int = 8000) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, signal, rate, format="FLAC")
    return content.getvalue()


def test_columns_come_back_as_lists(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"a": [1, 2], "b": [b"x", b"y"], "c": [0, 0]}), tmp_path / "t.parquet")
    assert read_columns(tmp_path / "t.parquet", ("b", "a")) == {"b": [b"x", b"y"], "a": [1, 2]}


def test_a_missing_column_or_another_file_is_refused(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"a": [1]}), tmp_path / "t.parquet")
    (tmp_path / "none.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadFile, match="columns b can't be read"):
        read_columns(tmp_path / "t.parquet", ("b",))
    with pytest.raises(BadInput, match="not a readable Parquet file"):
        read_columns(tmp_path / "none.parquet", ("b",))


def test_images_come_back_pixel_by_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_images([png(p) for p in pixels], (5, 4, 3), "file"), pixels)


def test_grey_images_get_three_equal_channels() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(decode_images([png(grey)], (2, 3, 3), "f")[0], np.stack([grey] * 3, -1))


def test_images_that_can_not_be_used_are_named_by_their_row() -> None:
    good = png(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(BadInput, match="row 1: it can't be read as an image"):
        decode_images([good, good[:40]], (2, 2, 3), "file")
    with pytest.raises(BadFile, match=r"image 0 is \[2, 2, 3\], but \[4, 4, 3\]"):
        decode_images([good], (4, 4, 3), "file")


def test_recordings_are_cut_or_filled_with_zeros() -> None:
    signal = (np.arange(-5, 5) / 16).astype(np.float32)
    found = decode_audio([flac(signal), flac(signal[:4])], 8000, 8, "file")
    np.testing.assert_allclose(found, [signal[:8], [*signal[:4], 0, 0, 0, 0]], atol=1e-4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (flac(np.zeros(9), 16_000), "16000 samples a second"),
        (flac(np.zeros((9, 2))), "row 0: 2 channels, but mono is needed"),
        (b"fLaC", "row 0: it can't be read as a recording"),
    ],
)
def test_recordings_that_can_not_be_used_are_refused(content: bytes, said: str) -> None:
    with pytest.raises((BadFile, BadInput), match=said):
        decode_audio([content], 8000, 8, "file")


@pytest.mark.parametrize(
    ("module", "package", "read"),
    [
        ("pyarrow", "pyarrow", lambda: read_columns(Path("t"), ("a",))),
        ("PIL", "pillow", lambda: decode_images([b"PNG"], (1, 1, 3), "file")),
        ("soundfile", "soundfile", lambda: decode_audio([b"fLaC"], 8000, 8, "file")),
    ],
)
def test_a_missing_package_names_the_extra(
    module: str, package: str, read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{package} is not installed.*smidgen\[data\]"):
        read()
