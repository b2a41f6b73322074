"""Files and folders are whole or absent, whatever the disk says; reading takes no more than allowed."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import BadFile, BadInput, Unwritable
from smidgen.files import TEMPORARY, appearing, read_bytes, write_files, write_whole, writing
from smidgen.limits import VARIABLE, decoded_bytes_limit


@contextmanager
def disk_full_after(nbytes: int) -> Iterator[None]:
    """No file can grow beyond `nbytes`: the system refuses the rest of a write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_with_its_folder_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    assert write_whole(path, "größer") == 8
    assert write_whole(path, b"two") == 3
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


def test_the_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "ours", b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "ours")]
    assert modes[0] == modes[1]


@given(st.integers(0, 5000))
def test_a_disk_that_fills_up_leaves_the_old_file(
    tmp_path_factory: pytest.TempPathFactory, room: int
) -> None:
    folder = tmp_path_factory.mktemp("full")
    path = folder / "file"
    path.write_bytes(b"old")
    with disk_full_after(room), pytest.raises(Unwritable, match=r"can't be written .*\. Free some space"):
        write_whole(path, b"n" * 5001)
    assert path.read_bytes() == b"old"
    assert os.listdir(folder) == ["file"]


@given(st.integers(0, 3000))
def test_a_disk_that_fills_up_leaves_the_old_folder(
    tmp_path_factory: pytest.TempPathFactory, room: int
) -> None:
    folder = tmp_path_factory.mktemp("full")
    write_files(folder / "project", {"a/b": "old"})
    with disk_full_after(room), pytest.raises(Unwritable, match="Free some space"):
        write_files(folder / "project", {"a/b": "n" * 3001, "c": "n" * 4000})
    assert (folder / "project/a/b").read_text() == "old"
    assert os.listdir(folder) == ["project"]


def test_a_folder_of_the_same_name_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(Unwritable, match="A folder has this name"):
        write_whole(tmp_path / "taken", b"x")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_file_in_the_way_is_said_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unwritable, match="A file is in the way"):
        write_whole(tmp_path / "file" / "inside", b"x")


def test_missing_permission_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(Unwritable, match=r"\(Permission denied\). Choose another place, or change its perm"):
        write_whole(tmp_path / "file", b"x")
    assert os.listdir(tmp_path) == []


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write_files(tmp_path / "run", {"a": "old"})

    def fail() -> None:
        with appearing(tmp_path / "run") as unfinished:
            write_whole(unfinished / "a", "new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "run" / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["run"]


def test_unfinished_names_can_be_told(tmp_path: Path) -> None:
    with appearing(tmp_path / "run") as unfinished:
        assert unfinished.name.startswith(TEMPORARY)


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError("x")


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(BadFile, match=f"it has 5 B, but 4 B are allowed.*{VARIABLE}"):
        read_bytes(path, 4)


def test_a_file_that_claims_more_than_there_is_memory_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(BadFile, match="5 GB, but 4 GB are allowed"):
        read_bytes(tmp_path / "sparse")


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(BadFile, match=r"not a regular file|Is a directory"):
            read_bytes(path, 10)


@pytest.mark.parametrize("name", ["absent", "null\0byte", "n" * 300])
def test_what_is_not_there_can_t_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadFile, match="it can't be read"):
        read_bytes(tmp_path / name, 10)


def test_the_user_sets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert decoded_bytes_limit() == 4 << 30
    monkeypatch.setenv(VARIABLE, "8GB")
    assert decoded_bytes_limit() == 8 << 30
    monkeypatch.setenv(VARIABLE, "plenty")
    with pytest.raises(BadInput, match=f"{VARIABLE}: 'plenty' is not a size"):
        decoded_bytes_limit()
