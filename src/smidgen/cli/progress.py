"""Live progress on a terminal, plain lines elsewhere: what is being tried, the best so far, time left."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from smidgen.units import format_seconds

if TYPE_CHECKING:
    from smidgen.search import engine
    from smidgen.search.outcome import Point

WIDTH = 60


class Live:
    """A context: `search` takes the search's progress, `step` that of a training within it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("[bold]{task.fields[phase]:>8}[/]"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]:<12}"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._main = self._bar.add_task("starting", total=1.0, phase="start", left="")
        self._inner = self._bar.add_task("", total=1.0, phase="", left="")
        self._printed = ""

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def search(self, now: engine.Progress) -> None:
        total = now.elapsed_s + (now.left_s or 0.0)
        done = (
            now.elapsed_s / total
            if now.left_s is not None and total
            else (now.built / (now.trials or now.built or 1))
        )
        left = (
            f"{format_seconds(now.left_s)} left"
            if now.left_s is not None
            else f"{now.built}/{now.trials} built"
        )
        best = f"  [green]best {describe(now.best)}[/]" if now.best else ""
        self._bar.update(
            self._main,
            completed=min(done, 1.0),
            phase=now.phase,
            left=left,
            description=f"{now.built} built{best}",
        )
        self._bar.update(self._inner, completed=0.0, description=_short(now.message))
        self._line(f"{now.phase}: {now.built} built, {left}, {now.message}")

    def step(self, fraction: float, message: str) -> None:
        """Progress of a step or training, 0..1."""
        self._bar.update(self._inner, completed=fraction, left=_short(message, 30))

    def _line(self, text: str) -> None:
        """Without a terminal: one plain line a candidate."""
        if not self._console.is_terminal and text != self._printed:
            self._console.print(text, highlight=False, soft_wrap=True)
            self._printed = text


def describe(point: Point) -> str:
    """`9,216 B, 85.1%`: the size axis and validation accuracy."""
    sizes = [m for name, m in point.measurements.items() if name in ("flash_bytes", "file_bytes")]
    size = max(sizes, key=lambda m: m.name == "flash_bytes")
    return f"{size.value:,.0f} B {size.name.split('_')[0]}, {point.accuracy:.1f}%"


def _short(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
