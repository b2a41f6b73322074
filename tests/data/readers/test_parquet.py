"""Parquet: media and numbers, columns told or named, parts, and one clear error for everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.data import Splits, load_user_data
from smidgen.errors import BadInput, SmidgenError
from tests.data.readers.media_files import png, wav

N = 40
LABELS = [i % 2 for i in range(N)]
IMAGES = [png(seed=i)[0] for i in range(N)]
NUMBERS = {"a": np.arange(N) / 2, "b": np.arange(N, dtype=np.int8), "label": LABELS}


def saved(path: Path, columns: Mapping[str, Any], metadata: dict[bytes, bytes] | None = None) -> str:
    table = pa.table(dict(columns))
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)
    return str(path)


def rows(splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    parts = (splits.train, splits.validation, splits.test)
    return np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])


@pytest.mark.parametrize("struct", [False, True], ids=["bytes", "struct"])
def test_images_are_decoded_with_their_labels(tmp_path: Path, struct: bool) -> None:
    cells = [{"bytes": b, "path": None} for b in IMAGES] if struct else IMAGES
    splits = load_user_data(saved(tmp_path / "d.parquet", {"image": cells, "label": LABELS}))
    found = {x.tobytes(): int(y) for x, y in zip(*rows(splits), strict=True)}
    wanted = {(png(seed=i)[1] / np.float32(255)).astype(np.float32).tobytes(): LABELS[i] for i in range(N)}
    assert found == wanted
    assert splits.notes == ("inputs: image (image); label: label",)


def test_recordings_are_decoded_and_speakers_stay_together(tmp_path: Path) -> None:
    columns = {
        "audio": [{"bytes": wav(seed=i, form="FLAC"), "path": "x.flac"} for i in range(N)],
        "word": ["yes" if y else "no" for y in LABELS],
        "speaker": [f"s{i // 4}" for i in range(N)],
    }
    splits = load_user_data(f"{saved(tmp_path / 'd.parquet', columns)}?label=word")
    assert splits.names == ("no", "yes")
    assert splits.train.x.shape[1:] == (100, 1)
    owners = [set(part.groups.tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, owners)) == N // 4


def test_numeric_columns_become_a_feature_vector(tmp_path: Path) -> None:
    x, y = rows(load_user_data(saved(tmp_path / "d.parquet", NUMBERS)))
    order = np.argsort(x[:, 1])
    assert np.array_equal(x[order], np.stack([np.arange(N) / 2, np.arange(N)], axis=1).astype(np.float32))
    assert np.array_equal(y[order], LABELS)


def test_float_labels_are_values(tmp_path: Path) -> None:
    source = saved(
        tmp_path / "d.parquet", {"a": np.arange(N), "u": np.arange(N) / 3, "v": np.arange(N) * 1.0}
    )
    splits = load_user_data(f"{source}?label=u,v")
    assert splits.classes is None
    x, y = rows(splits)
    assert np.allclose(y, np.concatenate([x / 3, x], axis=1))


def test_files_of_a_folder_are_parts_and_labels_mean_the_same_in_all(tmp_path: Path) -> None:
    text = np.array(["no", "yes"])[LABELS]
    for name, part in (("train-00000-of-00002", slice(0, 10)), ("train-00001-of-00002", slice(10, 20)),
                       ("validation-00000", slice(20, 30)), ("test-00000", slice(31, 40, 2))):  # fmt: skip
        saved(tmp_path / f"{name}.parquet", {"a": np.arange(N)[part], "label": text[part]})
    splits = load_user_data(str(tmp_path))
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [20, 10, 5]
    assert splits.train.x.ravel().tolist() == list(range(20))
    assert splits.test.y.tolist() == [1] * 5


def test_a_split_column_is_kept(tmp_path: Path) -> None:
    split = ["train"] * 20 + ["val"] * 12 + ["test"] * 8
    splits = load_user_data(saved(tmp_path / "d.parquet", {**NUMBERS, "split": split}))
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [20, 12, 8]
    assert splits.train.x.shape == (20, 2)


def test_names_of_classes_are_taken_from_the_metadata(tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    assert load_user_data(saved(tmp_path / "d.parquet", NUMBERS, metadata)).names == ("cat", "dog")


BAD: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
    "no label": ({"a": NUMBERS["a"]}, "", "columns a, but one must be the label. Add .label=NAME"),
    "two labels": ({**NUMBERS, "target": LABELS}, "", "label, target could all be labels"),
    "a label that is not there": (NUMBERS, "?label=z", "no column 'z' .label., but it has a, b, label"),
    "an image that is not there": (NUMBERS, "?image=z", "no column 'z' .image."),
    "an image of numbers": (NUMBERS, "?image=a", "column a is double, but bytes of encoded files"),
    "two images": ({"p": IMAGES, "q": IMAGES, "label": LABELS}, "", "p, q hold files, but one is the input"),
    "text among inputs": ({**NUMBERS, "c": ["x"] * N}, "", "column c is string, but inputs are numbers"),
    "only labels": ({"label": LABELS}, "", "images, recordings or numbers are needed"),
    "empty cells": ({**NUMBERS, "b": [None, *range(N - 1)]}, "", "column b has empty cells"),
    "an empty label": ({**NUMBERS, "label": [None, *LABELS[1:]]}, "", "column label has empty cells"),
    "an empty image": ({"image": [None, *IMAGES[1:]], "label": LABELS}, "", "row 0: column image holds no"),
    "a broken image": ({"image": [*IMAGES[:-1], b"x"], "label": LABELS}, "", "row 39: it can't be read"),
    "NaN": ({**NUMBERS, "a": [np.nan] * N}, "", "has NaN or infinity"),
    "dates as labels": ({**NUMBERS, "label": np.arange(N).astype("M8[s]")}, "", "labels are numbers or text"),
    "an unknown part": ({**NUMBERS, "split": ["train", "play"] * 20}, "", "the split column says 'play'"),
    "no training part": ({**NUMBERS, "split": ["test"] * N}, "", "the split column never says train"),
    "an option for images": (NUMBERS, "?resize=3x3", "resize .* means nothing here"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "query", "message"), BAD.values(), ids=BAD.keys())
def test_bad_tables_are_refused(tmp_path: Path, columns: Mapping[str, Any], query: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load_user_data(saved(tmp_path / "d.parquet", columns) + query)
    assert "d.parquet" in str(caught.value)


def test_files_with_other_columns_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "train.parquet", NUMBERS)
    saved(tmp_path / "test.parquet", {"a": LABELS, "label": LABELS})
    with pytest.raises(BadInput, match="files with other columns"):
        load_user_data(str(tmp_path))


def test_a_folder_without_training_files_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "test.parquet", NUMBERS)
    with pytest.raises(BadInput, match="only test files, but train files are needed"):
        load_user_data(str(tmp_path))


def test_a_table_that_takes_too_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_MAX_DECODED", "100")
    with pytest.raises(BadInput, match="of memory, but 100 B are allowed"):
        load_user_data(saved(tmp_path / "d.parquet", NUMBERS))


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=30), st.integers(0, 10_000))
def test_damaged_tables_never_raise_anything_else(noise: bytes, at: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.parquet"
        saved(path, NUMBERS)
        whole = bytearray(path.read_bytes())
        at %= len(whole)
        whole[at : at + len(noise)] = noise
        path.write_bytes(whole)
        try:
            loaded: object = load_user_data(str(path))
        except SmidgenError as refused:
            loaded = refused
    assert isinstance(loaded, (Splits, BadInput))
