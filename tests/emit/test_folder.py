"""Folders appear whole or not at all, and nothing of the user's is overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smidgen.emit.folder import write_folder
from smidgen.errors import BadInput


def test_an_older_result_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_folder(folder, {"marker": "1", "old/file": "x"}, "marker")
    write_folder(folder, {"marker": "2"}, "marker")
    assert [p.name for p in folder.rglob("*")] == ["marker"]
    assert (folder / "marker").read_text() == "2"


def test_someone_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BadInput, match="something that smidgen did not write"):
        write_folder(tmp_path, {"marker": ""}, "marker")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failure_half_way_leaves_the_older_result_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write_folder(folder, {"marker": "1"}, "marker")
    rename, refused = os.rename, [folder]

    def fail_once(source: Path, destination: Path) -> None:
        if destination in refused:
            refused.remove(destination)
            raise OSError("disk full")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(BadInput, match="disk full"):
        write_folder(folder, {"marker": "2"}, "marker")
    assert (folder / "marker").read_text() == "1"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_file_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't be written"):
        write_folder(tmp_path / "file" / "out", {"marker": ""}, "marker")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
