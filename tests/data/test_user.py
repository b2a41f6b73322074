"""The user's own data: what is accepted, and one clear error for everything else."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.data import Dataset, Splits, load_user_data
from smidgen.data.arrays import splits_from_arrays
from smidgen.data.split import hold_out
from smidgen.errors import BadInput, SmidgenError

Y = np.arange(40) % 2
X = np.arange(80, dtype=np.float32).reshape(40, 2)


def saved(folder: Path, **arrays: Any) -> str:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return str(path)


def test_x_and_y_are_split(tmp_path: Path) -> None:
    splits = load_user_data(saved(tmp_path, x=X, y=Y), 0.25, 0.25, seed=0)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [20, 10, 10]
    assert splits.classes == 2
    assert splits.train.x.dtype == np.float32
    assert splits.train.y.dtype == np.int64


def test_groups_stay_together(tmp_path: Path) -> None:
    splits = load_user_data(saved(tmp_path, x=X, y=Y, groups=np.arange(40) // 4), 0.2, 0.2, seed=5)
    parts = [set(p.groups.tolist()) for p in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, parts)) == 10


@pytest.mark.parametrize("name", ["val", "validation"])
def test_given_parts_are_kept(tmp_path: Path, name: str) -> None:
    arrays = {
        "x_train": X,
        "y_train": Y,
        f"x_{name}": X[:6],
        f"y_{name}": Y[:6],
        "x_test": X[:4],
        "y_test": Y[:4],
    }
    splits = load_user_data(saved(tmp_path, **arrays))
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [40, 6, 4]
    assert np.array_equal(splits.train.x, X)


def test_absent_parts_come_from_the_training_rows(tmp_path: Path) -> None:
    splits = load_user_data(saved(tmp_path, x_train=X, y_train=Y, x_test=X[:4], y_test=Y[:4]), 0.25)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [30, 10, 4]


def test_integer_inputs_become_float32(tmp_path: Path) -> None:
    splits = load_user_data(saved(tmp_path, x=X.astype(np.uint8), y=Y.astype(np.uint8)))
    assert splits.train.x.dtype == np.float32


BAD = {
    "no inputs": ({"y": Y}, "there is no 'x'"),
    "no labels": ({"x": X}, "there is no 'y'"),
    "unknown names": ({"images": X, "labels": Y}, "it holds images, labels, but x and y"),
    "a test part without training rows": ({"x_test": X, "y_test": Y}, "x_train and y_train, are needed"),
    "one input too few": ({"x": X[:-1], "y": Y}, "x has 39 rows and y 40"),
    "one group too few": ({"x": X, "y": Y, "groups": Y[:-1]}, "x has 40 rows and groups 39"),
    "NaN": ({"x": np.where(X == 7, np.nan, X), "y": Y}, "has NaN or infinity"),
    "too large for float32": ({"x": X.astype(np.float64) * 1e300, "y": Y}, "has NaN or infinity"),
    "complex labels": ({"x": X, "y": Y * 1j}, "labels are complex128, but integers are needed"),
    "NaN among values": ({"x": X, "y": np.where(Y, np.nan, 1.0)}, "row 1 has NaN or infinity, but targets"),
    "values without columns": ({"x": X, "y": np.zeros((40, 0))}, r"values have the shape \[40, 0\]"),
    "text labels": ({"x": X, "y": Y.astype(str)}, "labels are <U21, but integers"),
    "one-hot labels": ({"x": X, "y": np.eye(2, dtype=int)[Y]}, r"labels have the shape \[40, 2\]"),
    "negative labels": ({"x": X, "y": Y - 1}, "label -1, but labels run from 0"),
    "labels from 1": ({"x": X, "y": Y + 1}, "none is 0, but they must be numbered from 0"),
    "labels with a gap": ({"x": X, "y": Y * 5}, "labels go up to 5, none is 1"),
    "one class": ({"x": X, "y": Y * 0}, "all labels are the same"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "there are no rows"),
    "no features": ({"x": X[:, 0], "y": Y}, r"the shape is \[40\]"),
    "complex inputs": ({"x": X.astype(complex), "y": Y}, "inputs are complex128"),
    "objects": ({"x": X.astype(object), "y": Y}, "array of Python objects, but only numbers are read"),
    "too few rows": ({"x": X[:2], "y": Y[:2]}, "2 rows, but 3 parts"),
    "two groups": ({"x": X, "y": Y, "groups": Y}, "2 groups, but 3 parts"),
    "a group in two parts": (
        {
            "x_train": X,
            "y_train": Y,
            "groups_train": Y + 8,
            "x_test": X,
            "y_test": Y,
            "groups_test": Y + 9,
            "x_val": X,
            "y_val": Y,
            "groups_val": Y + 3,
        },
        "group 9 is in train and test",
    ),
    "an unknown class in the test part": (
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
        "a test label is 2, but labels run from 0 to 1",
    ),
    "parts of other shapes": (
        {"x_train": X, "y_train": Y, "x_test": X[:, :1], "y_test": Y},
        r"test samples are \[1\]",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), BAD.values(), ids=BAD.keys())
def test_bad_arrays_are_refused_by_name(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load_user_data(saved(tmp_path, **arrays))
    assert "mine.npz" in str(caught.value) or "split" in str(caught.value)


def test_a_class_without_training_rows_is_refused() -> None:
    lonely = np.where(np.arange(40) == 39, 2, Y)
    owners = np.arange(40) // 4
    data = Dataset(X, lonely, owners)
    seed = next(s for s in range(99) if 39 not in hold_out(data, (0.2, 0.2), s)[0])
    with pytest.raises(BadInput, match="no training row has label 2"):
        splits_from_arrays({"x": X, "y": lonely, "groups": owners}, "mine", 0.2, 0.2, seed)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_text("x,y\n1,2\n")
    with pytest.raises(BadInput, match="not a zip archive"):
        load_user_data(str(tmp_path / "mine.npz"))


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    npy = io.BytesIO()
    np.save(npy, X)
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x.npy", npy.getvalue()[:200])
    with pytest.raises(BadInput, match=r"array 'x' of shape .* takes 320 bytes, but the file holds 72"):
        load_user_data(str(tmp_path / "mine.npz"))


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_corrupt_files_never_raise_anything_else(noise: bytes, at: int) -> None:
    stream = io.BytesIO()
    np.savez(stream, x=X, y=Y)
    whole = bytearray(stream.getvalue())
    at %= len(whole)
    whole[at : at + len(noise)] = noise
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(whole)
        file.flush()
        try:
            loaded: object = load_user_data(file.name)
        except SmidgenError as refused:
            loaded = refused
    assert isinstance(loaded, (Splits, BadInput))


@pytest.mark.parametrize("source", ["nothing.npz", "table.csv", "folder"])
def test_a_source_that_is_not_there_or_not_known_is_refused(source: str) -> None:
    with pytest.raises(BadInput, match=source):
        load_user_data(source)


MODULE = """
import numpy as np
from smidgen.data import Dataset, Splits
X, Y = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
def pair(): return X, Y
def triple(): return X, Y, np.arange(40) // 4
def mapping(): return {"x": X.tolist(), "y": Y.tolist()}
def splits():
    part = Dataset(X.astype(np.float32), Y)
    return Splits(part, part, part, 2)
def broken(): raise KeyError("lost")
def number(): return 42
def ragged(): return [[1], [2, 3]], [0, 1]
def nothing(): return None
def bad_splits():
    part = Dataset(X.astype(np.float32), Y + 1)
    return Splits(part, part, part, 2)
constant = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module in the working folder, under a fresh name: modules stay imported."""
    name = f"users_module_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("function", ["pair", "triple", "mapping", "splits"])
def test_a_function_may_return(module: str, function: str) -> None:
    splits = load_user_data(f"{module}:{function}")
    assert splits.classes == 2
    assert splits.train.x.shape[1:] == (2,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_module:f", "'no_such_module' can't be imported"),
        ("{}_broken:pair", "ZeroDivisionError"),
        ("{}:absent", "no function 'absent'"),
        ("{}:constant", "no function 'constant'"),
        ("{}:", "no function ''"),
        (":pair", "can't be imported"),
        ("{}:broken", "the function raised KeyError: 'lost'"),
        ("{}:number", "a int"),
        ("{}:nothing", "a NoneType"),
        ("{}:ragged", "can't be made an array"),
        ("{}:bad_splits", "a train label is 2"),
    ],
)
def test_a_function_that_does_not_deliver_is_refused(module: str, source: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_user_data(source.format(module))
