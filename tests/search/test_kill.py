"""What a killed process leaves behind is complete, and the next one goes on from it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smidgen.errors import BadInput
from smidgen.search.engine import Limits
from smidgen.search.records import read_outcomes
from smidgen.search.run_folder import RunFolder
from tests.search.fakes import FakeEvaluator, search

ROOT = Path(__file__).parents[2]
ONE_SEARCH = """
import sys
from pathlib import Path
from smidgen.search.engine import Limits
from tests.search.fakes import FakeEvaluator, search
search(Path(sys.argv[1]), FakeEvaluator(delay_s=0.01), Limits(trials=2000, seeds=(0, 1)))
"""


def start(folder):
    return subprocess.Popen([sys.executable, "-c", ONE_SEARCH, str(folder)], cwd=ROOT)


def completed(folder):
    """Key -> bytes of every completed trial's record."""
    return {p.parent.name: p.read_bytes() for p in folder.glob("trials/[0-9]*/outcome.json")}


def wait_for_trials(folder, count, process):
    deadline = time.monotonic() + 30
    while len(completed(folder)) < count:
        assert process.poll() is None, "the search ended by itself"
        assert time.monotonic() < deadline, "the search does not get on"
        time.sleep(0.005)


def test_kill_9_at_random_moments_loses_no_completed_trial(tmp_path):
    rng = random.Random(0)
    before: dict[str, bytes] = {}
    for _ in range(4):
        process = start(tmp_path)
        wait_for_trials(tmp_path, len(before) + 4, process)
        time.sleep(rng.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = completed(tmp_path)
        assert before.items() <= after.items()
        before = after
    evaluator = FakeEvaluator()
    result = search(tmp_path, evaluator, Limits(trials=len(before) + 3, seeds=(0, 1)))
    assert before.items() <= completed(tmp_path).items()
    assert len(result.points) == len(before) + 3
    assert [label for label, seed in evaluator.evaluated if seed == 0] == [
        p.label for p in result.points[-3:]
    ]
    assert not list(tmp_path.rglob(".tmp-*"))


def test_ctrl_c_in_a_running_process_ends_it_with_a_result(tmp_path):
    process = start(tmp_path)
    wait_for_trials(tmp_path, 3, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert len(list(read_outcomes(tmp_path / "trials"))) == len(completed(tmp_path))


def test_two_processes_can_t_share_a_folder(tmp_path):
    process = start(tmp_path)
    try:
        wait_for_trials(tmp_path, 1, process)
        with pytest.raises(BadInput, match="another process is searching"), RunFolder(tmp_path).locked():
            pass
    finally:
        process.kill()
        process.wait()


def test_a_torn_last_line_of_the_journal_is_dropped(tmp_path):
    search(tmp_path, FakeEvaluator(), Limits(trials=3))
    with (tmp_path / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker')
    assert len(search(tmp_path, FakeEvaluator(), Limits(trials=5)).points) == 5
