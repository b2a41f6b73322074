"""A disk that fills up ends a search with one clear error; what was completed stays, and it goes on later."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from smidgen.errors import Unwritable
from smidgen.search.engine import Limits
from tests.search.fakes import FakeEvaluator, search


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of every trial."""
    files = (path for path in (folder / "trials").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("room_bytes", [0, 100, 300, 1000, 2000, 5000])
def test_a_full_disk_leaves_all_that_was_completed(tmp_path: Path, room_bytes: int) -> None:
    result = search(tmp_path, FakeEvaluator(), Limits(trials=4))
    before = contents(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))  # no file can grow beyond it
    try:
        with pytest.raises(Unwritable, match=r"it can't be written .* Free some space"):
            search(tmp_path, FakeEvaluator(), Limits(trials=40))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = contents(tmp_path)
    assert before.items() <= after.items()
    assert not list(tmp_path.rglob(".tmp-*"))
    resumed = search(tmp_path, FakeEvaluator(), Limits(trials=6))
    assert {point.label for point in result.points} <= {point.label for point in resumed.points}
    assert not [o for o in resumed.outcomes if type(o).__name__ == "Failed"]
