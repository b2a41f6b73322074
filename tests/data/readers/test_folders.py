"""Class folders of images and recordings: what is read, and one clear error for everything else."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import load_user_data
from smidgen.errors import BadInput, MissingExtra
from tests.data.readers.media_files import png, wav

ROWS = 8


def photos(root: Path, **options: object) -> Path:
    """Two classes of ROWS images each."""
    for number, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for row in range(ROWS):
            (root / name / f"{row}.png").write_bytes(png(seed=10 * number + row, **options)[0])  # type: ignore[arg-type]
    return root


def sounds(root: Path, **options: object) -> Path:
    for number, name in enumerate(("no", "yes")):
        (root / name).mkdir(parents=True)
        for row in range(ROWS):
            (root / name / f"{row}.wav").write_bytes(wav(seed=10 * number + row, **options))  # type: ignore[arg-type]
    return root


def everything(source: str | Path, **options: object) -> np.ndarray:
    splits = load_user_data(str(source), **options)  # type: ignore[arg-type]
    return np.concatenate([splits.train.x, splits.validation.x, splits.test.x])


def test_images_are_float_in_0_to_1_channels_last_and_classes_keep_their_names(tmp_path: Path) -> None:
    splits = load_user_data(str(photos(tmp_path / "p")))
    assert splits.names == ("cat", "dog")
    assert splits.classes == 2
    found = {
        x.tobytes(): int(y)
        for part in (splits.train, splits.validation, splits.test)
        for x, y in zip(part.x, part.y)
    }
    for number in (0, 1):
        for row in range(ROWS):
            pixels = (png(seed=10 * number + row)[1] / np.float32(255)).astype(np.float32)
            assert found[pixels.tobytes()] == number


def test_channels_come_first_where_the_network_takes_that(tmp_path: Path) -> None:
    source = photos(tmp_path / "p")
    last, first = everything(source, shape=(8, 6, 3)), everything(source, shape=(3, 8, 6))
    assert np.array_equal(np.moveaxis(last, -1, 1), first)
    assert np.array_equal(everything(f"{source}?layout=chw"), first)


def test_parts_are_kept(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        photos(tmp_path / "p" / part)
    splits = load_user_data(str(tmp_path / "p"))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2 * ROWS] * 3


def test_resizing_and_colours_are_converted_when_asked_for(tmp_path: Path) -> None:
    source = photos(tmp_path / "p")
    (source / "cat" / "0.png").write_bytes(png((20, 30))[0])
    assert everything(f"{source}?resize=8x6&channels=3").shape == (2 * ROWS, 8, 6, 3)
    assert everything(f"{source}?resize=5x4&channels=1").shape == (2 * ROWS, 5, 4, 1)


def test_sixteen_bits_of_grey_keep_their_precision(tmp_path: Path) -> None:
    source = photos(tmp_path / "p", shape=(8, 6))
    deep = np.arange(48, dtype=np.uint16).reshape(8, 6) * 1300
    Image.fromarray(deep).save(source / "cat" / "0.png")
    wanted = (deep[..., None] / np.float32(65535)).astype(np.float32)
    assert any(np.array_equal(x, wanted) for x in everything(source))


def test_recordings_are_float_mono(tmp_path: Path) -> None:
    found = everything(sounds(tmp_path / "s"))
    assert found.shape == (2 * ROWS, 100, 1)
    assert 0.5 < np.abs(found).max() <= 1


def test_recordings_take_the_shape_of_the_network(tmp_path: Path) -> None:
    source = sounds(tmp_path / "s")
    assert everything(source, shape=(100,)).shape == (2 * ROWS, 100)
    assert everything(source, shape=(1, 100)).shape == (2 * ROWS, 1, 100)


def test_recordings_are_cut_and_padded_when_asked_for(tmp_path: Path) -> None:
    source = sounds(tmp_path / "s")
    (source / "no" / "0.wav").write_bytes(wav(30))
    found = everything(f"{source}?samples=50")
    assert found.shape == (2 * ROWS, 50, 1)
    assert sum((x[30:] == 0).all() for x in found) == 1


def test_stereo_is_averaged_when_asked_for(tmp_path: Path) -> None:
    assert everything(f"{sounds(tmp_path / 's', channels=2)}?channels=1").shape == (2 * ROWS, 100, 1)


def bomb(side: int) -> bytes:
    """A PNG of few bytes that claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


BAD_IMAGES = {
    "another size": (
        png((9, 9, 3))[0],
        "its shape is 9×9×3, .*0.png 8×6×3, but all must have one shape. Add .resize",
    ),
    "another colour": (png((8, 6))[0], "its shape is 8×6×1"),
    "truncated": (png()[0][:-40], "can't be read as an image"),
    "empty": (b"", "it has 0 bytes"),
    "no image": (b"hello", "can't be read as an image"),
    "transparent": (png((8, 6, 4))[0], "it has transparency.*channels=3"),
    "a bomb": (bomb(60_000), "pixels, but at most|can't be read as an image"),
    "a bomb beyond what Pillow warns of": (bomb(9_000), "81,000,000|9,000 × 9,000 pixels, but at most"),
}


@pytest.mark.parametrize(("contents", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_a_bad_image_is_refused_by_name(tmp_path: Path, contents: bytes, message: str) -> None:
    source = photos(tmp_path / "p")
    (source / "dog" / "7.png").write_bytes(contents)
    with pytest.raises(BadInput, match=message) as caught:
        load_user_data(str(source))
    assert "7.png" in str(caught.value)


BAD_SOUNDS = {
    "another length": (wav(90), "its shape is 90×1, .*100×1, but all must have one shape. Add .samples=N"),
    "another rate": (wav(rate=16000), "sample rate is 16000 Hz, .*8000 Hz"),
    "stereo": (wav(channels=2), "2 channels, but mono is needed. Add .channels=1"),
    "truncated": (wav()[:90], "its shape is|sound samples of|can't be read"),
    "no sound": (b"RIFFxxxx", "can't be read as a recording"),
    "of no length": (wav(0), "0 samples long"),
}


@pytest.mark.parametrize(("contents", "message"), BAD_SOUNDS.values(), ids=BAD_SOUNDS.keys())
def test_a_bad_recording_is_refused_by_name(tmp_path: Path, contents: bytes, message: str) -> None:
    source = sounds(tmp_path / "s")
    (source / "yes" / "7.wav").write_bytes(contents)
    with pytest.raises(BadInput, match=message) as caught:
        load_user_data(str(source))
    assert "7.wav" in str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("size=3", "'size=3' is no option"),
        ("resize=3", "resize=3, but HEIGHTxWIDTH"),
        ("resize=0x9", "resize=0x9"),
        ("channels=2", "channels=2, but 1 .grey. or 3"),
        ("channels=many", "a whole number above 0"),
        ("layout=hcw", "hwc or chw is needed"),
        ("samples=9", "samples .* means nothing here, but options are resize"),
        ("resize=8x8&resize=9x9", "given twice"),
    ],
)
def test_an_option_that_can_t_be_is_refused(tmp_path: Path, query: str, message: str) -> None:
    source = photos(tmp_path / "p")
    with pytest.raises(BadInput, match=message):
        load_user_data(f"{source}?{query}")


def test_a_folder_without_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes" / "a").mkdir(parents=True)
    with pytest.raises(BadInput, match="a folder without images"):
        load_user_data(str(tmp_path / "notes"))


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    source = photos(tmp_path / "p")
    (source / "bird").mkdir()
    with pytest.raises(BadInput, match="bird: a class without files"):
        load_user_data(str(source))


def test_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        photos(tmp_path / "p" / part)
    os.rename(tmp_path / "p/test/dog", tmp_path / "p/test/wolf")
    with pytest.raises(BadInput, match="wolf: a class that the training part lacks, but it has cat, dog"):
        load_user_data(str(tmp_path / "p"))


def test_a_loop_of_links_is_no_trap(tmp_path: Path) -> None:
    source = photos(tmp_path / "p")
    (source / "cat" / "up").symlink_to(source)
    (source / "dog" / "self.png").symlink_to(source / "dog" / "self.png")
    assert len(everything(source)) == 2 * ROWS


def test_more_than_the_allowed_memory_is_refused_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_MAX_DECODED", "1000")
    with pytest.raises(BadInput, match=r"16 samples of shape 8×6×3 take .* of memory"):
        load_user_data(str(photos(tmp_path / "p")))


@pytest.mark.parametrize(("package", "make"), [("PIL", photos), ("soundfile", sounds)])
def test_a_missing_package_names_its_extra(
    package: str, make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "d")  # type: ignore[operator]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtra, match=r"smidgen\[data\]"):
        load_user_data(str(source))
