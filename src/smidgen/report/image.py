"""The frontier as a picture, PNG or SVG, for a README or a paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from smidgen.errors import BadInput, MissingExtra
from smidgen.files import write_whole
from smidgen.report.charts import frontier_chart
from smidgen.report.model import Report
from smidgen.report.theme import DARK, LIGHT

THEMES = {"light": replace(LIGHT, background="#ffffff"), "dark": replace(DARK, background="#12161d")}


def write_image(report: Report, path: Path, cost: str = "", theme: str = "light", scale: float = 2.0) -> None:
    """Draw accuracy against `cost` (the size axis by default) into `path`, by its ending `.png` or `.svg`.

    `theme` is light or dark; `scale` multiplies the 720 x 380 pixels of a PNG.

    Raises:
        BadInput: another ending or theme, or no point has that cost.
        MissingExtra: altair or vl-convert is not installed.
    """
    cost = cost or report.size_axis
    if path.suffix not in (".png", ".svg"):
        raise BadInput(str(path), f"the ending {path.suffix!r}", "pictures are .png or .svg")
    if theme not in THEMES:
        raise BadInput("picture", f"the theme {theme!r}", f"themes are {', '.join(THEMES)}")
    if not any(p.measurement(cost) for p in report.everything):
        raise BadInput("picture", f"no point has {cost!r}", f"costs are {', '.join(report.measured_costs())}")
    spec = frontier_chart(report, cost, width=720, height=380)
    spec["config"] = THEMES[theme].config()
    write_whole(path, _svg(spec) if path.suffix == ".svg" else _png(spec, scale))


def _svg(spec: dict[str, object]) -> str:
    return str(_converter().vegalite_to_svg(spec))


def _png(spec: dict[str, object], scale: float) -> bytes:
    return bytes(_converter().vegalite_to_png(spec, scale=scale))


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as missing:
        raise MissingExtra("drawing the frontier", "vl-convert-python", "compress") from missing
    return vl_convert
