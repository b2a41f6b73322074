"""Several processes build, one measures; a crash, Ctrl-C or kill -9 leaves no process and a whole folder."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from smidgen.errors import BadFile, BadInput, MissingExtra
from smidgen.methods.recipe import Recipe
from smidgen.search.engine import Limits, Search
from smidgen.search.outcome import Candidate, Evaluated
from smidgen.search.result import Result
from smidgen.search.run_folder import RunFolder
from smidgen.search.samplers.nsga2 import Nsga2
from smidgen.search.space import RecipeSpace
from smidgen.search.workers import MOST_BY_DEFAULT, Workers, default_workers
from tests.search.fakes import METHODS, FakeEvaluator, goal, small_graph, starts

ROOT = Path(__file__).parents[2]
INT8 = Candidate(Recipe.from_yaml("- quantize.affine"))
INT4 = Candidate(Recipe.from_yaml("- quantize.affine: {bits: 4}"))
INT2 = Candidate(Recipe.from_yaml("- quantize.affine: {bits: 2}"))


class Builder(FakeEvaluator):
    """Writes down who did what, and when."""

    def __init__(self, log: Path, delay_s: float = 0.0) -> None:
        super().__init__(delay_s)
        self.log = log

    def build(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        started = time.monotonic()
        run = FakeEvaluator.evaluate(self, candidate, seed, folder)
        self._write("build", started)
        return run

    def timed(self, run: Evaluated, folder: Path) -> Evaluated:
        started = time.monotonic()
        assert (folder / "model.smg").exists()
        self._write("timed", started)
        return run

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        return self.timed(self.build(candidate, seed, folder), folder)

    def _write(self, what: str, started: float) -> None:
        self.log.mkdir(exist_ok=True)
        entry = {"what": what, "pid": os.getpid(), "start": started, "end": time.monotonic()}
        (self.log / f"{what}-{os.getpid()}-{time.monotonic_ns()}.json").write_text(json.dumps(entry))


def entries(log: Path, what: str) -> list[dict]:
    found = (json.loads(p.read_text()) for p in sorted(log.glob(f"{what}-*.json")))
    return sorted(found, key=lambda e: e["start"])


def searched(path: Path, builder: Builder, limits: Limits, workers: int = 2, baselines=()) -> Result:
    """What `compress` does with several workers."""
    folder, asked = RunFolder(path), goal()
    with folder.locked():
        folder.claim({"data": "abc"})
        space = RecipeSpace(small_graph(), METHODS)
        searcher = Nsga2(space, asked.costs, path / "journal.log", 0, starts())
        with Workers(builder, builder, workers, folder.trials) as pool:
            return Search(pool, searcher, folder, asked, limits, baselines, ahead=pool).run()


def test_builds_overlap_and_times_are_taken_while_nothing_is_built(tmp_path):
    searched(tmp_path / "run", Builder(tmp_path / "log", 0.2), Limits(trials=7))
    builds, times = entries(tmp_path / "log", "build"), entries(tmp_path / "log", "timed")
    assert len(builds) == len(times) == 7
    assert len({e["pid"] for e in builds} - {os.getpid()}) == 2
    assert any(a["end"] > b["start"] for a, b in pairwise(builds))
    assert {e["pid"] for e in times} == {os.getpid()}
    assert not any(b["start"] < t["end"] and t["start"] < b["end"] for b in builds for t in times)


def test_the_same_seed_and_number_of_workers_find_the_same_candidates(tmp_path):
    found = [searched(tmp_path / name, Builder(tmp_path / "log"), Limits(trials=8)) for name in "ab"]
    assert [p.label for p in found[0].points] == [p.label for p in found[1].points]
    assert [p.measurements for p in found[0].points] == [p.measurements for p in found[1].points]


def test_a_candidate_is_built_the_same_by_one_process_or_several(tmp_path):
    one = searched(tmp_path / "one", Builder(tmp_path / "log"), Limits(trials=2), workers=1)
    two = searched(tmp_path / "two", Builder(tmp_path / "log"), Limits(trials=2), workers=2)
    assert [(p.label, p.measurements) for p in one.points] == [(p.label, p.measurements) for p in two.points]


def test_trials_baselines_and_seeds_are_kept_to(tmp_path):
    widths = [Candidate(INT8.recipe, f"width-{i}", "width baseline") for i in range(3)]
    limits = Limits(trials=6, seeds=(0, 1, 2))
    result = searched(tmp_path / "run", Builder(tmp_path / "log"), limits, 3, widths)
    assert len(result.points) == 6 + 3
    assert {tuple(run.seed for run in p.runs) for p in result.frontier} == {(0, 1, 2)}
    assert not list((tmp_path / "run").rglob(".tmp-*"))


class Failing(Builder):
    def build(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        if candidate == INT4:
            raise BadFile("here", "a method's bug")
        if candidate == INT2:
            os._exit(3)
        return super().build(candidate, seed, folder)

    def precheck(self, candidate: Candidate) -> str | None:
        return "too large" if "prune" in candidate.label else None


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "scratch").mkdir()
    builder = Failing(tmp_path / "log")
    with Workers(builder, builder, 2, tmp_path / "scratch") as made:
        yield made


def test_a_failure_in_a_worker_is_raised_where_the_candidate_is_evaluated(pool, tmp_path):
    pool.prepare([(INT8, 0), (INT4, 0)])
    assert pool.precheck(INT4) is None
    with pytest.raises(BadFile, match="here: a method's bug"):
        pool.evaluate(INT4, 0, tmp_path)
    assert pool.evaluate(INT8, 0, tmp_path).accuracy > 90


def test_a_worker_that_dies_fails_its_candidate_alone(pool, tmp_path):
    pool.prepare([(INT2, 0), (INT8, 0), (INT8, 1), (INT8, 2)])
    with pytest.raises(Exception, match="its process ended with code 3"):
        pool.evaluate(INT2, 0, tmp_path)
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        assert pool.evaluate(INT8, seed, tmp_path / str(seed)).seed == seed
        assert (tmp_path / str(seed) / "model.smg").exists()


def test_a_rejection_in_a_worker_is_one(pool):
    pruned = Candidate(Recipe.from_yaml("- prune.global_magnitude\n- quantize.affine"))
    pool.prepare([(INT8, 0), (pruned, 0)])
    assert pool.precheck(pruned) == "too large"
    assert pool.precheck(INT8) is None


def test_what_was_built_for_nothing_is_removed_with_the_next_round(pool, tmp_path):
    pool.prepare([(INT8, 0), (INT8, 1)])
    assert list((tmp_path / "scratch").rglob("model.smg"))
    pool.prepare([])
    assert not list((tmp_path / "scratch").iterdir())


def test_an_evaluator_that_can_t_travel_is_refused(tmp_path):
    builder = Builder(tmp_path)
    builder.hook = lambda: None
    with pytest.raises(BadInput, match=r"can't be sent to another process.*top level of a module"):
        Workers(builder, builder, 2, tmp_path)


@pytest.mark.parametrize("error", [MissingExtra("a", "b", "c"), BadInput("a", "b", "c", "d")])
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_the_default_is_one_worker_a_core_up_to_four():
    assert 1 <= default_workers() <= min(MOST_BY_DEFAULT, os.cpu_count() or 1)


# Processes that end

ONE_SEARCH = """
import sys
from pathlib import Path
from smidgen.search.engine import Limits
from tests.search.test_workers import Builder, searched
run = Path(sys.argv[1])
searched(run / "run", Builder(run / "log", 0.05), Limits(trials=2000, seeds=(0, 1)))
"""


def started(folder: Path) -> tuple[subprocess.Popen, set[int]]:
    """A running search and the ids of its workers."""
    process = subprocess.Popen([sys.executable, "-c", ONE_SEARCH, str(folder)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(entries(folder / "log", "timed")) < 6:
        assert process.poll() is None, "the search ended by itself"
        assert time.monotonic() < deadline, "the search does not get on"
        time.sleep(0.02)
    workers = {e["pid"] for e in entries(folder / "log", "build")} - {process.pid}
    assert len(workers) == 2
    return process, workers


def all_end(processes: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in processes):
            return True
        time.sleep(0.02)
    return False


def test_kill_9_leaves_no_process_and_the_search_goes_on(tmp_path):
    process, workers = started(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all_end(workers)
    before = {p: p.read_bytes() for p in (tmp_path / "run").glob("trials/[0-9]*/outcome.json")}
    result = searched(tmp_path / "run", Builder(tmp_path / "log"), Limits(trials=len(before) + 3))
    assert len(result.points) == len(before) + 3
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not list((tmp_path / "run").rglob(".tmp-*"))


def test_ctrl_c_ends_the_workers_and_leaves_a_result(tmp_path):
    process, workers = started(tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert all_end(workers)
    assert list((tmp_path / "run").glob("trials/[0-9]*/seed-0/test.json"))
    assert not list((tmp_path / "run").rglob(".tmp-*"))
