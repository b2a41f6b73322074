"""One command a network: three architectures on MNIST, at most half a point lost.

Other toolkits' figures for these topologies, on digits of their own, go down to 35–39 kB for the ResNet-8,
301 kB for the MLP 784-1024-1024-10 and 53 kB for the LSTM 28 → 192 (benchmarks/results/common_job.md says
whose). The uncompressed networks are trained first and kept; then `smidgen compress` runs as a user would
start it, and only that is timed. A finished run is read again instead of repeated.

    python benchmarks/common_job.py [resnet8 mlp lstm] [--time 12m]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, write_results
from smidgen.api import prepare
from smidgen.codec.container import pack_smg
from smidgen.report.model import Point, Report

GOALS_BYTES = {"resnet8": 25_000, "mlp": 100_000, "lstm": 35_000}
FOLDER = Path("runs/common-job")
KEPT = RESULTS / "common_job.json"
PEERS = """\
Peers, on the same topologies and another set of real digits (smidgen's design notes, measured there): \
ResNet-8 342 kB in fp32, LiteRT int8 99 kB, NNCodec 39–54 kB, Brevitas 4-bit 35 kB (gzip); MLP 7.46 MB, \
LiteRT int4 966 kB, Brevitas 558 kB, NNCodec 301 kB; LSTM 710 kB, NNCF int8 202 kB, LiteRT int4 184 kB, \
NNCodec 53 kB. Accuracies do not compare across data sets, sizes at about equal loss do."""

HOW = f"""\
`smidgen compress mnist:NAME --max-drop 0.5 --workers 1`, all but the time at its default, on one core. \
Bytes of the whole `.smg`; accuracies of the file's integers, mean ± sd over seeds; the drop is validation \
accuracy lost, mean with its 95% interval. Minutes: the whole command with its test.

{PEERS}"""


def run(name: str, limit: str) -> dict[str, Any]:
    """Compress one network with one command; what came out, for the table."""
    folder = FOLDER / name
    subject = prepare(f"mnist:{name}", None, folder)
    command = [sys.executable, "-m", "smidgen", "compress", f"mnist:{name}", "--max-drop", "0.5"]
    command += ["--time", limit, "--workers", "1", "--out", str(folder)]
    start = time.monotonic()
    subprocess.run(command, check=True)
    minutes = (time.monotonic() - start) / 60
    report = Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
    chosen = next(point for point in report.points if point.chosen)
    base, size = report.uncompressed, chosen.measurement("file_bytes")
    assert base.test is not None, "the report tests the uncompressed network"
    assert chosen.test is not None, "and the chosen one"
    assert size is not None, "every point has a size"
    return {
        "network": name,
        "fp32 .smg bytes": len(pack_smg([subject.graph])),
        "test %": f"{base.test.mean:.2f}",
        "chosen": chosen.label,
        "file bytes": int(size.value),
        "goal": GOALS_BYTES[name],
        "chosen, test %": f"{chosen.test.mean:.2f} ± {chosen.test.sd:.2f}",
        "seeds": chosen.test.seeds,
        "validation drop": _interval(chosen),
        "minutes": round(minutes, 1),
        "built": len(report.points),
    }


def _interval(point: Point) -> str:
    drop = point.drop
    return "" if drop is None else f"{drop.points:+.2f} [{drop.low:+.2f}, {drop.high:+.2f}]"


def kept_rows() -> dict[str, Any]:
    """Network -> its row, as far as there are results."""
    found = json.loads(KEPT.read_text(encoding="utf-8"))["rows"] if KEPT.exists() else []
    return {row["network"]: row for row in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(GOALS_BYTES))
    parser.add_argument("--time", default="14m")
    asked = parser.parse_args()
    for name in asked.networks:
        if name not in kept_rows():
            row = run(name, asked.time)
            rows = {**kept_rows(), name: row}  # another process may have added some
            ordered = [rows[key] for key in GOALS_BYTES if key in rows]
            write_results("common_job", "One command each on MNIST", ordered, HOW)


if __name__ == "__main__":
    main()
