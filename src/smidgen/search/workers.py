"""Candidates built by several processes at once, measured one at a time.

The search proposes a round of candidates; worker processes train and build them; when all are done, this
process times each artifact alone, so that no latency is taken while another candidate trains, and the search
hears of them in the order in which it proposed them. It never matters which worker was first: the same
seed, trials and number of workers find the same candidates, as far as measured latencies do not steer the
sampler. Another number of workers asks it in rounds of another size and finds others.

A worker has a session of its own. It ends, with everything it started, when its parent closes it or is gone.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol

from smidgen.errors import BadInput, SmidgenError
from smidgen.files import TEMPORARY
from smidgen.methods.step import silent
from smidgen.search.outcome import Array, Candidate, Evaluated, Point
from smidgen.search.paired import Clusters

MOST_BY_DEFAULT = 4
SERVE = "from smidgen.search.workers import serve; serve()"
Job = tuple[Candidate, int]  # and its seed


class Builder(Protocol):
    """An evaluator whose artifacts can be built elsewhere; it travels to the workers by pickle."""

    @property
    def labels(self) -> Array: ...

    @property
    def clusters(self) -> Clusters | None: ...

    def reference(self, test: bool) -> Evaluated: ...

    def precheck(self, candidate: Candidate) -> str | None: ...

    def build(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        """All of `evaluate` but times."""

    def timed(self, run: Evaluated, folder: Path) -> Evaluated:
        """`run` with the times of the artifact in `folder`, taken now."""

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated: ...

    def test(self, point: Point, run: Evaluated) -> Evaluated: ...


def default_workers() -> int:
    """Physical cores that this process may use, at most 4."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(_physical_cores() or usable, usable, MOST_BY_DEFAULT), 1)


class Workers:
    """An evaluator for the engine that builds rounds of `size` candidates in as many processes.

    A context: leaving it ends the processes. What `prepare` built lies in `scratch` until `evaluate`
    asks for it. Raises BadInput if `builder` can't be sent to another process.
    """

    def __init__(
        self,
        builder: Builder,
        away: Builder,
        size: int,
        scratch: Path,
        report: Callable[[float, str], None] = silent,
    ) -> None:
        """`away` does the same as `builder`, without callbacks into this process: it is what is sent."""
        self._builder, self._payload = builder, _pickled(away)
        self.size, self._scratch, self._report = size, scratch, report
        self._processes: list[_Process] = []
        self._round: Path | None = None
        self._made: dict[Job, tuple[Path, Any]] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes and drop what was not asked for."""
        for process in self._processes:
            process.end()
        self._processes = []
        self._forget()

    # What the engine calls

    @property
    def labels(self) -> Array:
        return self._builder.labels

    @property
    def clusters(self) -> Clusters | None:
        return self._builder.clusters

    def reference(self, test: bool) -> Evaluated:
        return self._builder.reference(test)

    def test(self, point: Point, run: Evaluated) -> Evaluated:
        return self._builder.test(point, run)

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Build `jobs` at the same time; returns when all are done. A single one is left to `evaluate`."""
        self._forget()
        if len(jobs) < 2:
            return
        try:
            self._build(jobs)
        except BaseException:
            self.close()  # Ctrl-C: nothing goes on in the background
            raise

    def precheck(self, candidate: Candidate) -> str | None:
        made = next((result for job, (_, result) in self._made.items() if job[0] == candidate), None)
        if made is None:
            return self._builder.precheck(candidate)
        return made if isinstance(made, str) else None

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        if (candidate, seed) not in self._made:
            return self._builder.evaluate(candidate, seed, folder)
        built, result = self._made.pop((candidate, seed))
        if isinstance(result, BaseException):
            raise result
        for path in built.iterdir():
            path.rename(folder / path.name)
        return self._builder.timed(result, folder)

    # Rounds

    def _build(self, jobs: Sequence[Job]) -> None:
        left, busy = list(jobs), dict[Connection, tuple[_Process, Job, Path]]()
        self._round = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}work-", dir=self._scratch))
        free = self._started(min(self.size, len(jobs)))
        while left or busy:
            while left and free:
                process, job = free.pop(), left.pop(0)
                folder = self._round / str(len(left))
                folder.mkdir()
                process.connection.send((*job, folder))
                busy[process.connection] = (process, job, folder)
            self._report((len(jobs) - len(left) - len(busy)) / len(jobs), f"building {len(busy)} at once")
            for ready in wait(list(busy)):
                process, job, folder = busy.pop(ready)  # type: ignore[call-overload]
                self._made[job] = (folder, process.answer())
                free += [process] if process.alive else self._restarted(process)

    def _started(self, count: int) -> list[_Process]:
        self._processes += [_Process(self._payload) for _ in range(count - len(self._processes))]
        return list(self._processes)

    def _restarted(self, dead: _Process) -> list[_Process]:
        self._processes.remove(dead)
        dead.end()
        self._processes.append(_Process(self._payload))
        return self._processes[-1:]

    def _forget(self) -> None:
        if self._round is not None:
            shutil.rmtree(self._round, ignore_errors=True)
        self._round, self._made = None, {}


class _Process:
    """One worker, seen from its parent."""

    def __init__(self, payload: bytes) -> None:
        self.connection, theirs = Pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # Not multiprocessing: its children would run the user's script once more.
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(theirs.fileno())],
            stdin=subprocess.PIPE,  # never written to: it closes when this process is gone
            pass_fds=[theirs.fileno()],
            env={**environment, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )
        theirs.close()
        self.alive = True
        self.connection.send_bytes(payload)

    def answer(self) -> Any:
        """An Evaluated, the reason of a rejection, or the exception that ended the work."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.alive = False
            code = self._process.wait()
            return SmidgenError("worker", f"its process ended with code {code}", "", "Use fewer workers")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


def serve() -> None:
    """What a worker process does: read an evaluator, then build what it is sent until nobody is there."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection: Connection = Connection(int(sys.argv[1]))
    builder: Builder | None = None
    problem: BaseException | None = None
    try:
        builder = pickle.loads(connection.recv_bytes())
    except Exception as found:
        where, remedy = "workers", "Define it at the top level of a module, or use one worker"
        problem = BadInput(where, f"an object can't be loaded in another process ({found})", "", remedy)
    while True:
        try:
            candidate, seed, folder = connection.recv()
        except EOFError:
            return
        answer = problem if builder is None else _work(builder, candidate, seed, folder)
        connection.send(answer)


def _work(builder: Builder, candidate: Candidate, seed: int, folder: Path) -> Any:
    try:
        return builder.precheck(candidate) or builder.build(candidate, seed, folder)
    except Exception as problem:
        return _portable(problem)


def _portable(problem: Exception) -> Exception:
    """The same exception if it survives pickling, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:
        return RuntimeError(f"{type(problem).__name__}: {problem}")
    return problem


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the parent has closed it or is gone
    os.killpg(0, signal.SIGKILL)


def _pickled(builder: Builder) -> bytes:
    """`builder` with read-only mappings, which pickle does not know. Raises BadInput."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {**copyreg.dispatch_table, MappingProxyType: _mapping_parts}
    try:
        pickler.dump(builder)
    except (pickle.PicklingError, TypeError, AttributeError) as problem:
        remedy = "Define it at the top level of a module, or use one worker"
        found = f"an object can't be sent to another process ({problem})"
        raise BadInput("workers", found, "", remedy) from problem
    return buffer.getvalue()


def _mapping_parts(mapping: MappingProxyType[Any, Any]) -> tuple[Any, tuple[dict[Any, Any]]]:
    return _read_only, (dict(mapping),)


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def _physical_cores() -> int:
    """Distinct cores in Linux's list of processors; 0 where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return 0
    entries = (dict(_pair(line) for line in block.splitlines()) for block in text.split("\n\n"))
    return len({(e["physical id"], e["core id"]) for e in entries if "core id" in e and "physical id" in e})


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
