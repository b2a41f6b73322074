"""HTML tables that sort by a click on a heading and scroll sideways on narrow screens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.measurement import How
from smidgen.report.labels import HOW
from smidgen.report.markup import Markup, tag


@dataclass(frozen=True)
class Cell:
    """`content` is shown, `key` sorts (None: last). `share`, 0..1, draws a bar behind a number."""

    content: str
    key: str | float | None
    numeric: bool = False
    share: float | None = None


def table(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], name: str) -> Markup:
    """A table with the id `name`; `rows` are (class, cells)."""
    numeric = [all(cells[i].numeric for _, cells in rows) for i in range(len(heads))]
    head = tag("tr", *(_head(text, n) for text, n in zip(heads, numeric, strict=True)))
    body = [tag("tr", *(_cell(c) for c in cells), class_=kind or None) for kind, cells in rows]
    inside = tag("table", tag("thead", head), tag("tbody", *body), id=name)
    return tag("div", inside, class_="scroll", tabindex="0")


def _head(text: str, numeric: bool) -> Markup:
    return tag("th", tag("button", text, type="button"), scope="col", class_="numeric" if numeric else None)


def _cell(cell: Cell) -> Markup:
    bar = tag("i", class_="share", style=f"width:{cell.share:.1%}") if cell.share else None
    return tag(
        "td",
        cell.content,
        bar,
        data_key="" if cell.key is None else str(cell.key),
        class_="numeric" if cell.numeric else None,
    )


def how(name: How) -> Markup:
    """The small tag that says where a number comes from."""
    return tag("span", name, class_=f"how how-{name}", title=HOW[name])
