"""A search can be stopped in every way, and the same command goes on; folders do not mix."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import smidgen
from smidgen.report.model import read_report
from tests.cli.conftest import Cli, Ran, compress_arguments, start, wait
from tests.cli.messages import is_documented
from tests.cli.tiny import Tiny

PATIENCE_S = 90.0
INTERRUPTS_ITSELF = """
import os, signal, sys, threading
from smidgen.cli import main
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
main()
"""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until `path` exists; the process must live."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started(user: Tiny, folder: Path, trials: int) -> subprocess.Popen[str]:
    """An endless search, after `trials` outcomes."""
    process = start(compress_arguments(user, folder, "--time", "10m"))
    wait_for(folder / "trials" / f"{trials - 1:04d}" / "outcome.json", process)
    return process


def outcomes(folder: Path) -> dict[str, int]:
    """Trial -> when its outcome was written, in ns."""
    paths = folder.glob("trials/*/outcome.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in paths if path.parent.name.isdigit()}


def assert_goes_on(user: Tiny, folder: Path, cli: Cli) -> None:
    """The same command in `folder` keeps what was done and ends with a valid result."""
    before = outcomes(folder)
    ran = cli(*compress_arguments(user, folder, "--trials", "1"))
    assert ran.code == 0, ran.err
    after = outcomes(folder)
    assert before
    assert before.items() <= after.items()
    assert smidgen.open(folder / "chosen" / "model.smg").predict(user.x).shape == user.y.shape


def test_ctrl_c_reports_what_was_found_and_the_same_command_goes_on(
    user: Tiny, cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = started(user, folder, trials=2)
    process.send_signal(signal.SIGINT)
    ran = wait(process)
    assert ran.code == 130
    assert is_documented(ran.err.splitlines()[-1])
    assert read_report(folder / "report.json").points
    assert_goes_on(user, folder, cli)


def test_a_folder_is_used_by_one_search_at_a_time_and_survives_kill_9(
    user: Tiny, cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = started(user, folder, trials=1)
    second = cli(*compress_arguments(user, folder, "--time", "10m"))
    process.kill()
    process.communicate()
    assert second.code == 3
    assert "another process is searching in this folder" in second.err
    assert not (folder / "report.json").exists()
    assert_goes_on(user, folder, cli)


def test_ctrl_c_while_loading_is_one_line_and_exit_code_130(user: Tiny, tmp_path: Path) -> None:
    process = start(compress_arguments(user, tmp_path / "run", "--time", "10m"), INTERRUPTS_ITSELF)
    ran = wait(process)
    assert ran.code == 130
    assert ran.err.splitlines()[-1].startswith("error: interrupted.")


def test_other_settings_in_a_run_s_folder_are_refused(user: Tiny, cli: Cli, run_folder: Path) -> None:
    before = (run_folder / "chosen" / "model.smg").read_bytes()
    ran = cli(*compress_arguments(user, run_folder, "--trials", "1", "--budget", "file=9KB"))
    assert ran.code == 3
    assert "started with other settings (budget changed)" in ran.err
    assert (run_folder / "chosen" / "model.smg").read_bytes() == before


def test_another_task_in_a_run_s_folder_is_refused_before_any_training(cli: Cli, run_folder: Path) -> None:
    ran = cli("compress", "digits", "--out", run_folder, "--trials", 1)
    assert ran.code == 3
    assert "it holds a run of another task" in ran.err
    assert not (run_folder / "uncompressed.smg").exists()


def test_an_impossible_budget_says_how_close_it_came_and_leaves_no_artifact(
    user: Tiny, cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    ran: Ran = cli(*compress_arguments(user, folder, "--trials", "1", "--budget", "file=1B"))
    assert ran.code == 5
    complaint = ran.err.splitlines()[-1]
    assert "the closest is quantize.affine" in complaint
    assert "the budget allows 1 B" in complaint
    assert is_documented(complaint)
    assert not (folder / "chosen").exists()
    assert read_report(folder / "report.json").chosen is None
