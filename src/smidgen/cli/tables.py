"""One look for all tables of the command line, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from smidgen.measurement import Measurement


def table(title: str, *columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """An empty table. Columns in `right` are aligned there; those in `whole` are never wrapped."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for name in columns:
        made.add_column(
            name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in whole
        )
    return made


def measurement_table(found: Sequence[Measurement], title: str) -> Table:
    """Measurements, each with how it was obtained; bytes exact."""
    from smidgen.report.labels import cost_label

    made = table(title, "what", "value", "how", "repeats", right=("value", "repeats"), whole=("value",))
    for m in found:
        made.add_row(cost_label(m.name), _value(m), m.how, f"{m.repeats:,}")
    return made


def _value(m: Measurement) -> str:
    from smidgen.report.labels import format_measurement
    from smidgen.units import format_bytes

    if m.unit == "%":
        return f"{m.value:.2f} ± {m.spread:.2f}%" if m.spread else f"{m.value:.2f}%"
    if m.unit != "byte":
        return format_measurement(m)
    exact = f"{m.value:,.0f} B"
    return f"{format_bytes(m.value)} = {exact}" if m.value >= 1024 else exact
