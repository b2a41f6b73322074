"""Memory over time, drawn with characters: a line a node, a bar for the bytes alive while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smidgen.measure.memory_map import Moment

MOST_LINES = 24
BAR_WIDTH = 40
NAME_WIDTH = 24


def memory_chart(moments: Sequence[Moment], limit_bytes: float | None = None) -> list[str]:
    """Lines of text. Of a long network, neighbours share a line, which shows the highest of them.

    `limit_bytes`: what the arena may take; a `|` stands there, and bars that pass it end in `!`.
    """
    lines = list(_lines(moments))
    scale = max([1.0, limit_bytes or 0.0, *(float(m.live_bytes) for m in lines)])
    peak = max((m.live_bytes for m in lines), default=0)
    return [_line(moment, scale, limit_bytes, moment.live_bytes == peak) for moment in lines]


def _lines(moments: Sequence[Moment]) -> Iterator[Moment]:
    each = -(-len(moments) // MOST_LINES)
    for start in range(0, len(moments), each or 1):
        yield max(moments[start : start + each], key=lambda moment: moment.live_bytes)


def _line(moment: Moment, scale: float, limit_bytes: float | None, at_peak: bool) -> str:
    bar = "█" * round(BAR_WIDTH * moment.live_bytes / scale)
    cells = list(bar.ljust(BAR_WIDTH))
    over = limit_bytes is not None and moment.live_bytes > limit_bytes
    if limit_bytes is not None and limit_bytes >= 0 and not over:
        cells[min(BAR_WIDTH - 1, round(BAR_WIDTH * limit_bytes / scale))] = "|"
    name = moment.node if len(moment.node) <= NAME_WIDTH else f"…{moment.node[1 - NAME_WIDTH :]}"
    mark = f" {'!' if over else ' '}{' peak' if at_peak else ''}".rstrip()
    return f"{name:<{NAME_WIDTH}} {moment.live_bytes:>9,} {''.join(cells)}{mark}".rstrip()
