"""Live progress on a terminal, plain lines elsewhere: what is being tried, the best so far, time left."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from smidgen.units import format_seconds

if TYPE_CHECKING:
    from smidgen.data.metrics import Metric
    from smidgen.search import engine
    from smidgen.search.outcome import Point

LINE_PERIOD_S = 10.0  # without a terminal, a long training is heard of this often
TAKEN = 7 + 1 + 16 + 1 + 4  # columns of phase, bar, gaps and ^C
CANDIDATE_PERIOD_S = 2.0  # and candidates that come and go, because they can't fit


class Live:
    """A context: `search` takes the search's progress, `step` that of a training within it.

    The upper bar is the search, the lower one its current step. Without a terminal: a line now and then.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("[bold]{task.fields[phase]}", table_column=Column(width=7)),
            BarColumn(bar_width=16),
            TextColumn("{task.description}", markup=False, table_column=_rest(console)),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._step = self._bar.add_task("loading", total=None, phase="start")
        self._search: TaskID | None = None
        self._now: engine.Progress | None = None
        self._since_s = time.monotonic()
        self._countdown = Countdown()
        self._line_s = self._since_s
        self._told: tuple[str, int] | None = None

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def search(self, now: engine.Progress) -> None:
        """A candidate begins, or a phase."""
        self._now, self._since_s = now, time.monotonic()
        if self._search is None:
            self._bar.remove_task(self._step)
            self._search = self._bar.add_task("", total=1.0, phase="")
            self._step = self._bar.add_task("", total=1.0, phase="")
        self._bar.update(self._step, completed=0.0, description=now.message)
        self._update_search(now)
        if (now.phase, now.built) != self._told or self._silent_s > CANDIDATE_PERIOD_S:
            self._told = (now.phase, now.built)
            self._line(f"{now.phase}: {status(now)} · now {now.message}")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, fraction: float, message: str) -> None:
        """Progress of a step or training, 0..1."""
        left_s = self._countdown.left_s(fraction)
        text = message if left_s is None or fraction >= 1 else f"{format_seconds(left_s)} left · {message}"
        if self._now is None:
            self._bar.update(self._step, phase="prepare", total=1.0)
        else:
            text = f"{text} · {self._now.message}" if fraction > 0 else text
            self._update_search(self._now)
        self._bar.update(self._step, completed=fraction, description=text)
        if self._silent_s > LINE_PERIOD_S:
            self._line(f"  {fraction:4.0%}: {text}")

    def _update_search(self, now: engine.Progress) -> None:
        if self._search is not None:
            passed_s = time.monotonic() - self._since_s
            self._bar.update(
                self._search,
                phase=now.phase,
                completed=share(now, passed_s),
                description=status(now, passed_s),
            )

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
            self._line_s = time.monotonic()

    @property
    def _silent_s(self) -> float:
        return time.monotonic() - self._line_s


class Countdown:
    """Estimates the time left of a step from the share that is done; a share that falls begins a new step."""

    def __init__(self) -> None:
        self._started_s, self._first, self._last = time.monotonic(), 0.0, 0.0

    def left_s(self, fraction: float) -> float | None:
        """Seconds until `fraction` (0..1) is 1, None where nothing is known yet."""
        now_s = time.monotonic()
        if fraction < self._last:
            self._started_s, self._first = now_s, fraction
        self._last = fraction
        done = fraction - self._first
        return (now_s - self._started_s) * (1 - fraction) / done if done > 0 else None


def share(now: engine.Progress, passed_s: float = 0.0) -> float:
    """How far the search is, 0..1: by its time or by its candidates, whichever ends it first."""
    shares = [0.0]
    if now.left_s is not None:
        spent_s = now.elapsed_s + passed_s
        shares.append(spent_s / max(now.elapsed_s + now.left_s, spent_s, 1e-9))
    if now.trials:
        shares.append(now.built / now.trials)
    return min(max(shares), 1.0)


def status(now: engine.Progress, passed_s: float = 0.0) -> str:
    """`4 min 10 s left · 12 built · best 9,216 B flash, 97.2%`, `passed_s` after `now`."""
    if now.left_s is None:
        clock = f"{format_seconds(now.elapsed_s + passed_s)} so far"
    elif now.left_s > passed_s:
        clock = f"{format_seconds(now.left_s - passed_s)} left"
    else:
        clock = "finishing"
    built = f"{now.built} of {now.trials} built" if now.trials else f"{now.built} built"
    return " · ".join([clock, built, *([f"best {describe(now.best, now.metric)}"] if now.best else [])])


def describe(point: Point, metric: Metric) -> str:
    """`9,216 B flash, 85.1%`: the size axis and the metric on validation."""
    sizes = [m for name, m in point.measurements.items() if name in ("flash_bytes", "file_bytes")]
    size = max(sizes, key=lambda m: m.name == "flash_bytes")
    return f"{size.value:,.0f} B {size.name.split('_')[0]}, {_score(point, metric)}"


def _score(point: Point, metric: Metric) -> str:
    shown = metric.shown(point.accuracy)
    return f"{shown:.1f}%" if metric.unit == "%" else f"{metric.name} {shown:.4g}"


def _rest(console: Console) -> Column:
    """What a line has left, with room for the ^C that terminals echo: a wrap would leave bars behind."""
    return Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - TAKEN, 10))
