"""Progress: what is shown of a search, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from smidgen.cli.progress import Countdown, Live, share, status
from smidgen.search.engine import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """`clock[0]` is the time in seconds."""
    now = [100.0]
    monkeypatch.setattr("smidgen.cli.progress.time.monotonic", lambda: now[0])
    return now


def progress(**changes: object) -> Progress:
    known = {"phase": "search", "message": "quantize.affine", "built": 3, "trials": None}
    return Progress(**{**known, "elapsed_s": 30.0, "left_s": 90.0, "best": None, **changes})  # type: ignore[arg-type]


def test_time_left_goes_down_between_candidates() -> None:
    assert status(progress()) == "1 min 30 s left · 3 built"
    assert status(progress(), passed_s=60) == "30 s left · 3 built"
    assert status(progress(), passed_s=95) == "finishing · 3 built"


def test_without_a_time_limit_candidates_are_counted() -> None:
    assert status(progress(left_s=None, trials=10)) == "30 s so far · 3 of 10 built"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.25),
        ({"left_s": None, "trials": 10}, 0.3),
        ({"trials": 4}, 0.75),
        ({"left_s": None}, 0.0),
        ({"left_s": 0.0}, 1.0),
        ({"elapsed_s": 0.0, "left_s": 0.0}, 0.0),
    ],
)
def test_the_bar_is_at_what_ends_the_search_first(changes: dict[str, object], expected: float) -> None:
    assert share(progress(**changes)) == pytest.approx(expected)


def test_the_time_left_of_a_step_is_extrapolated(clock: list[float]) -> None:
    countdown = Countdown()
    assert countdown.left_s(0.0) is None
    clock[0] += 10
    assert countdown.left_s(0.25) == pytest.approx(30)
    clock[0] += 10
    assert countdown.left_s(0.5) == pytest.approx(20)


def test_a_share_that_falls_begins_a_new_step(clock: list[float]) -> None:
    countdown = Countdown()
    clock[0] += 100
    countdown.left_s(0.9)
    assert countdown.left_s(0.1) is None
    clock[0] += 1
    assert countdown.left_s(0.2) == pytest.approx(8)


def lines(width: int = 200, terminal: bool = False) -> tuple[Live, io.StringIO]:
    file = io.StringIO()
    return Live(Console(file=file, width=width, force_terminal=terminal)), file


def test_elsewhere_every_new_candidate_is_one_line(clock: list[float]) -> None:
    live, file = lines()
    with live:
        live.search(progress())
        live.search(progress(built=4, message="tune.fit [bold]"))
    expected = ["search: 1 min 30 s left · 3 built · now quantize.affine"]
    assert file.getvalue().splitlines()[:1] == expected
    assert file.getvalue().splitlines()[1].endswith("4 built · now tune.fit [bold]")


def test_elsewhere_hopeless_candidates_do_not_flood(clock: list[float]) -> None:
    live, file = lines()
    with live:
        for _ in range(100):
            clock[0] += 0.1
            live.search(progress())
    assert 2 <= len(file.getvalue().splitlines()) <= 6


def test_elsewhere_a_long_training_is_heard_of_now_and_then(clock: list[float]) -> None:
    live, file = lines()
    with live:
        for epoch in range(1, 41):
            clock[0] += 1
            live.step(epoch / 40, f"epoch {epoch}/40")
    said = file.getvalue().splitlines()
    assert len(said) == 3
    assert said[0].strip() == "28%: 29 s left · epoch 11/40"


@pytest.mark.parametrize("width", [80, 140])
def test_on_a_terminal_both_bars_fit_in_one_line_each_with_room_for_ctrl_c(
    width: int, clock: list[float]
) -> None:
    live, _ = lines(width, terminal=True)
    with live:
        live.step(0.5, "the uncompressed network: epoch 20/40, loss 0.123")
        live.search(progress(message="prune.channels(ratio=0.3) → " * 5))
        clock[0] += 5
        live.step(0.5, "epoch 5/10, loss 0.123")
        shown = live._bar.get_renderable()
        rendered = Console(file=io.StringIO(), width=width)
        rendered.print(shown)
        text = rendered.file.getvalue()  # type: ignore[attr-defined]
    assert text.startswith("search")
    assert len(text.splitlines()) == 2
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width - len("^C")
    assert "1 min 25 s left" in text
    assert "epoch 5/10" in text
