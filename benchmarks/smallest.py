"""How small MNIST's network gets without losing accuracy: one `smidgen compress mnist` of twenty minutes.

Writes results/smallest.{json,md}: the chosen file and the size frontier, beside what gzip makes of floats. A
finished or interrupted search goes on in runs/benchmark-smallest.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import write_results
from smidgen.api import compress
from smidgen.codec.container import pack_smg, read_smg
from smidgen.report.model import Point, Report

FOLDER = Path("runs/benchmark-smallest")
COMMAND = "smidgen compress mnist --max-drop 0 --workers 1"


def row(point: Point) -> dict[str, Any]:
    size = point.measurement("file_bytes")
    return {
        "network": ("**chosen** " if point.chosen else "") + point.label,
        "kind": point.kind,
        "file bytes": 0 if size is None else int(size.value),
        "validation %": f"{point.validation.mean:.2f} ± {point.validation.sd:.2f}",
        "test %": "" if point.test is None else f"{point.test.mean:.2f} ± {point.test.sd:.2f}",
        "seeds": point.validation.seeds,
    }


def how(report: Report, minutes: str, conditions: str) -> str:
    """The conditions, and the sizes to compare with."""
    graph = read_smg(FOLDER / "uncompressed.smg").graph
    floats = b"".join(fmt.decode().astype(np.float32).tobytes() for fmt in graph.weights.values())
    base = report.uncompressed
    tested = "" if base.test is None else f", {base.test.mean:.2f}% on test"
    packed, zipped = len(pack_smg([graph])), len(gzip.compress(floats, 9))
    return (
        f"`{COMMAND} --time {minutes}`{conditions and f' ({conditions})'}; accuracies of the files' "
        "integers, mean ± sd over seeds; the test "
        "split was opened once, for these points. No loss: the mean over seeds on validation is at least "
        f"the uncompressed network's {base.validation.mean:.2f}%{tested}. Its weights take {len(floats):,} "
        f"bytes as float32, {zipped:,} after gzip, {packed:,} as a float `.smg`. {len(report.points)} "
        "networks were built."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", default="20m")
    parser.add_argument("--conditions", default="", help="What else the reader should know, in words.")
    asked = parser.parse_args()
    report = compress("mnist", max_drop=0.0, time=asked.time, workers=1, out=FOLDER).report
    points = sorted(report.frontier, key=lambda p: row(p)["file bytes"])
    write_results(
        "smallest",
        "The smallest file without loss, MNIST",
        [row(p) for p in points],
        how(report, asked.time, asked.conditions),
    )


if __name__ == "__main__":
    main()
