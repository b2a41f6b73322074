"""Rows behave like the array they stand for, and decode only what is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.data import load_user_data
from smidgen.data.dataset import Dataset
from smidgen.data.readers import media
from smidgen.data.rows import Rows
from smidgen.errors import BadInput
from tests.data.readers.media_files import png

WHOLE = np.arange(150 * 6, dtype=np.float32).reshape(150, 2, 3)


def rows(decoded: list[int] | None = None) -> Rows:
    def decode(number: int) -> np.ndarray:
        if decoded is not None:
            decoded.append(number)
        return WHOLE[number]

    return Rows(decode, (2, 3), np.arange(len(WHOLE)), "somewhere")


@given(st.lists(st.integers(0, 149), min_size=1, max_size=20), st.data())
def test_selections_of_selections_are_those_of_the_array(first: list[int], data: st.DataObject) -> None:
    second = data.draw(st.lists(st.integers(0, len(first) - 1), min_size=1))
    found = rows()[np.array(first)][np.array(second)]
    assert np.array_equal(found.decoded(), WHOLE[first][second])
    assert found.shape == (len(second), 2, 3)


def test_a_batch_decodes_its_own_rows_only() -> None:
    decoded: list[int] = []
    data = Dataset(rows(decoded), np.zeros(150, np.int64)).take(np.arange(20, 150))
    batches = data.batches(8)
    assert np.array_equal(next(batches).x, WHOLE[20:28])
    assert decoded == list(range(20, 28))


def test_digest_is_that_of_the_array() -> None:
    y = np.zeros(150, np.int64)
    assert Dataset(rows(), y).digest == Dataset(WHOLE, y).digest


def test_changed_rows_have_the_new_shape() -> None:
    turned = rows().changed(lambda sample: sample.T)
    assert turned.shape == (150, 3, 2)
    assert np.array_equal(turned.decoded(), WHOLE.transpose(0, 2, 1))


def test_more_than_may_be_held_at_once_is_refused_before_it_is_taken() -> None:
    huge = Rows(lambda n: WHOLE[n], (20_000, 20_000), np.arange(9), "photos")
    with pytest.raises(BadInput, match=r"photos: 9 samples of shape 20000×20000 take .* are allowed at once"):
        huge.decoded()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(16):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(seed=number)[0])
    return tmp_path / "photos"


@pytest.mark.parametrize("shape", [(8, 6, 3), (3, 8, 6)])
def test_large_folder_gives_the_samples_of_a_small_one(
    photos: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load_user_data(str(photos), shape=shape)
    monkeypatch.setattr(media, "KEPT_BYTES", 100)
    streamed = load_user_data(str(photos), shape=shape)
    assert isinstance(kept.train.inputs, np.ndarray)
    assert isinstance(streamed.train.inputs, Rows)
    assert np.array_equal(kept.train.x, streamed.train.x)
    assert kept.digest == streamed.digest


def test_damaged_file_of_a_large_folder_is_found_when_it_is_opened(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "KEPT_BYTES", 100)
    broken = photos / "b" / "15.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(BadInput, match=r"15.png: it can't be read as an image"):
        load_user_data(str(photos))
