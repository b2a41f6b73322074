"""The main job: the smartwatch recogniser on a Cortex-M4, one search of ten minutes with three seeds.

Writes results/frontier.{json,md} and what the README shows: docs/img/frontier{,-dark}.svg and frontier.txt,
whose text also goes into the README (correct the command that it names, if the time differs). The run folder
is runs/benchmark-frontier; an interrupted search goes on there.
"""

from __future__ import annotations

import argparse
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.common import write_results
from smidgen.api import compress
from smidgen.report.image import write_image
from smidgen.report.model import Point, Report
from smidgen.report.terminal import print_report

FOLDER = Path("runs/benchmark-frontier")
ROOT = Path(__file__).parents[1]
PICTURES, README = ROOT / "docs/img", ROOT / "README.md"
BUDGET = "flash=64KB,ram=48KB"


def row(report: Report, point: Point) -> dict[str, Any]:
    def cost(name: str) -> float:
        found = point.measurement(name)
        return float("nan") if found is None else found.value

    test = point.test
    return {
        "network": ("**chosen** " if point.chosen else "") + point.label,
        "kind": point.kind,
        "flash bytes": int(cost("flash_bytes")),
        "file bytes": int(cost("file_bytes")),
        "RAM bytes": int(cost("ram_bytes")),
        "latency ms (modelled)": round(cost("latency_ms"), 1),
        "validation %": f"{point.validation.mean:.1f} ± {point.validation.sd:.1f}",
        "test %": "" if test is None else f"{test.mean:.1f} ± {test.sd:.1f}",
        "seeds": point.validation.seeds,
    }


def illustrate(report: Report) -> None:
    """The README's pictures and its block of terminal output."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, theme in (("frontier.svg", "light"), ("frontier-dark.svg", "dark")):
        write_image(report, PICTURES / name, theme=theme)
    printed = StringIO()
    print_report(report, Console(file=printed, width=96), layers=False)
    text = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())
    (PICTURES / "frontier.txt").write_text(text, encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition("```text\n")
    after = rest[rest.index("```") :]
    README.write_text(f"{before}```text\n{text}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", default="10m")
    asked = parser.parse_args()
    done = compress("watch", target="cortex-m4", budget=BUDGET, max_drop=1.0, time=asked.time, out=FOLDER)
    report = done.report
    frontier = report.frontier
    base = report.uncompressed
    compressed = [p for p in frontier if p.kind == "compressed"]
    write_results(
        "frontier",
        f"Smartwatch recogniser on cortex-m4, {BUDGET}: the non-dominated points",
        [row(report, p) for p in frontier],
        f"Non-dominated in validation accuracy, flash, RAM and latency; {len(report.points)} networks built, "
        f"{len(report.dropped)} rejected or failed. Flash, file and RAM are measured on the linked firmware "
        f"and the file; latency is modelled. Uncompressed: {base.validation.mean:.1f}% validation"
        + ("" if base.test is None else f", {base.test.mean:.1f}% test")
        + " accuracy. Accuracy is the integer artifact's, mean ± sd over seeds; the test split was opened "
        "once, for these points only.",
        points=len(frontier),
        compressed_points=len(compressed),
        recipes=len({p.recipe_yaml for p in frontier}),
    )
    illustrate(report)


if __name__ == "__main__":
    main()
