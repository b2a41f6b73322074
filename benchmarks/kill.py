"""A search killed with `kill -9` at 50 random moments: every completed trial is still there, byte for byte.

    python benchmarks/kill.py

The search is the real engine with its journal and folders around a stand-in for training, so that the killing
often hits the writing. After each kill the records of all trials that were complete before are compared, and
the next process goes on from them; at the end an unbroken process finishes the search.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import progress, write_results

KILLS = 50
ROOT = Path(__file__).parents[1]
SEARCH = """
import sys
from pathlib import Path
from smidgen.search.engine import Limits
from tests.search.fakes import FakeEvaluator, search
search(Path(sys.argv[1]), FakeEvaluator(delay_s=0.002), Limits(trials=int(sys.argv[2]), seeds=(0, 1)))
"""
ENDLESS = 100_000
PATIENCE_S = 120.0


def start(folder: Path, trials: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SEARCH, str(folder), str(trials)], cwd=ROOT)


def completed(folder: Path) -> dict[str, bytes]:
    """Every file of every completed trial."""
    done = (record.parent for record in folder.glob("trials/[0-9]*/outcome.json"))
    files = (path for trial in done for path in trial.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def killed(folder: Path, known: int, rng: random.Random) -> None:
    """Run until a few more files than `known` are there, and a random moment longer."""
    process, deadline = start(folder, ENDLESS), time.monotonic() + PATIENCE_S
    try:
        while len(completed(folder)) <= known:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the search does not go on (exit code {process.poll()})")
            time.sleep(0.01)
        time.sleep(rng.random() * 0.3)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    rng, rows = random.Random(0), []
    with tempfile.TemporaryDirectory() as scratch:
        folder, before = Path(scratch), dict[str, bytes]()
        for number in progress(range(1, KILLS + 1), "kill -9"):
            killed(folder, len(before), rng)
            after = completed(folder)
            lost = [name for name, content in before.items() if after.get(name) != content]
            leftovers = len(list(folder.rglob(".tmp-*")))
            trials = len(list(folder.glob("trials/[0-9]*/outcome.json")))
            found = {"trials": trials, "lost or changed": len(lost), "unfinished": leftovers}
            rows.append({"kill": number, **found})
            before = after
        finishing = start(folder, int(rows[-1]["trials"]) + 1)
        if finishing.wait(PATIENCE_S) != 0 or list(folder.rglob(".tmp-*")):
            raise RuntimeError("the last process did not finish, or left something unfinished")
    how = (
        f"{KILLS} times: start it, kill -9 at a random moment, compare the files of all completed trials. "
        f"Lost or changed in all: {sum(int(row['lost or changed']) for row in rows)}. "
        "What a kill leaves unfinished is removed by the next process; the last one finished the search."
    )
    write_results("kill", "Search killed at random moments", rows, how)


if __name__ == "__main__":
    main()
