"""Colours of charts, in light and in dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Theme:
    """Colours of a plot: text, grid, the kinds in order, the chosen point's ring, the budget line."""

    ink: str
    muted: str
    grid: str
    kinds: tuple[str, str, str, str]
    chosen: str
    budget: str
    background: str | None = None

    def config(self) -> dict[str, Any]:
        axis = {
            "labelColor": self.muted,
            "titleColor": self.ink,
            "gridColor": self.grid,
            "domainColor": self.grid,
            "tickColor": self.grid,
            "titleFontWeight": 500,
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titlePadding": 8,
        }
        colours = {"frontier": self.muted, "chosen": self.chosen, "budget": self.budget}
        return {
            "background": self.background or "transparent",
            "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
            "view": {"stroke": None},
            "axis": axis,
            "legend": {"labelColor": self.ink, "symbolSize": 80, "labelFontSize": 12, "columnPadding": 14},
            "range": {"category": list(self.kinds)},
            "style": {name: {"color": colour} for name, colour in colours.items()},
        }


LIGHT = Theme(
    "#1c2330", "#5d6778", "#e3e7ee", ("#2f6fed", "#d9822b", "#2a9d74", "#6b7280"), "#c2255c", "#c92a2a"
)
DARK = Theme(
    "#e8ebf1", "#9aa4b5", "#2c3442", ("#7aa7ff", "#f0a558", "#5cc9a0", "#aab2c0"), "#ff7aa8", "#ff8787"
)
