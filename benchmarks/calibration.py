"""EfficientNet-Lite0 to int8 from a folder of images: time and memory by the number of calibration samples.

Upscaled CIFAR-10 (JPEG) is written as a folder of 224×224 images, as a user would have one. Every row is a
process of its own, so that its peak memory is its own. Writes results/calibration.{json,md}; rows that are
there already are kept (--again to measure them anew).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, progress, write_results

COUNTS = (64, 256, 1024)
HOW = (
    "`quantize.affine` on EfficientNet-Lite0 (4.65 M parameters, 224×224), calibrated on images that stream "
    "from a folder of JPEG files (CIFAR-10, upscaled). `before`: resident memory with network and list of "
    "files loaded; `peak`: the highest of the whole process. `int8, s` is the step: decoding, running the "
    "float network in NumPy, statistics, quantizing weights. Wall time, {threads} threads, on a shared "
    "machine; CPU seconds are what the process used. The memory curve (MB every half second) is in the json. "
    "Up to 256 MB of decoded samples are kept (256 of these, not 1,024): the peak can hold those twice."
)


def write_images(folder: Path, count: int) -> None:
    """`count` images for training and a few for the other parts, 224×224 JPEG, in class folders."""
    import io

    from PIL import Image

    from benchmarks.pretrained_data import cifar10_rows

    for part, split, rows in (("train", "train", count), ("val", "test", 10), ("test", "test", 10)):
        for number, (content, _) in enumerate(cifar10_rows(split, rows)):
            home = folder / part / "ab"[number % 2]  # classes that play no part here
            home.mkdir(parents=True, exist_ok=True)
            image = (
                Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
            )
            image.save(home / f"{number}.jpg", quality=90)


def measure(folder: Path, network: Path, count: int) -> dict[str, Any]:
    """One row, in this process."""
    from smidgen.codec.container import read_smg
    from smidgen.data import load_user_data
    from smidgen.methods.quantize.affine import AffineQuantization
    from smidgen.methods.step import Context
    from smidgen.probe.parallel import thread_count

    graph = read_smg(network).graph
    started = time.perf_counter()
    data = load_user_data(f"{folder}?channels=3", shape=(3, 224, 224))
    listed_s = time.perf_counter() - started
    curve: list[float] = []
    done = threading.Event()
    threading.Thread(target=_sample, args=(curve, done), daemon=True).start()
    before, cpu, started = _resident_mb(), time.process_time(), time.perf_counter()
    AffineQuantization(samples=count).apply(graph, Context(data, graph))
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    done.set()
    return {
        "samples": count,
        "read once, s": round(listed_s, 1),
        "int8, s": round(wall, 1),
        "CPU, s": round(cpu, 1),
        "before, MB": round(before),
        "peak, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "threads": thread_count(),
        "curve": curve,
    }


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


def _sample(curve: list[float], done: threading.Event) -> None:
    while not done.wait(0.5):
        curve.append(round(_resident_mb()))


def stored() -> dict[int, dict[str, Any]]:
    path = RESULTS / "calibration.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": [], "curves": {}}
    return {row["samples"]: {**row, "curve": found["curves"][str(row["samples"])]} for row in found["rows"]}


def row_of(network: Path, count: int) -> dict[str, Any]:
    """Images are written here; what is measured is a fresh process."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        write_images(folder, count)
        command = [sys.executable, "-m", "benchmarks.calibration", "--measure", str(folder), str(network)]
        made = subprocess.run([*command, str(count)], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(made.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "NETWORK", "COUNT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        folder, network, count = asked.measure
        print(json.dumps(measure(Path(folder), Path(network), int(count))))
        return
    from benchmarks.pretrained_models import efficientnet
    from smidgen.codec.container import write_smg

    rows = {} if asked.again else stored()
    with tempfile.TemporaryDirectory() as scratch:
        network = Path(scratch) / "network.smg"
        write_smg(network, [efficientnet().graph])
        for count in progress([n for n in COUNTS if n not in rows], "calibration"):
            rows[count] = row_of(network, count)
            write_rows([rows[n] for n in sorted(rows)])


def write_rows(rows: list[dict[str, Any]]) -> None:
    table = [{key: cell for key, cell in row.items() if key != "curve"} for row in rows]
    curves = {str(row["samples"]): row["curve"] for row in rows}
    how = HOW.format(threads=rows[0]["threads"])
    write_results("calibration", "Calibration at scale", table, how, curves=curves)


if __name__ == "__main__":
    main()
