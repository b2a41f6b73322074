"""Whole networks as firmware on emulated devices: are all bytes the reference's, and what do they take?

Every network runs the same random inputs on every device; the first few run twice, so that counts can be
compared. Rows whose emitted C has not changed are kept from the last run: stop and start it as you like.
Writes results/mcu.{json,md}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.agreement import network
from benchmarks.common import RESULTS, progress, write_results
from benchmarks.firmware import ROOMY
from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs
from smidgen.formats import Ternary
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.lower.schedule import expand_weights
from smidgen.measure.device import ROOMY_BYTES, DeviceReport, measure_device
from smidgen.models import cnn1d, dscnn, gru, lenet, mlp, resnet8
from smidgen.targets import Target, load_target
from smidgen.targets.cross import build_firmware
from smidgen.targets.elf import read_image

INT8 = "- quantize.affine: {}"


def autoencoder(shape: Sequence[int], _classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """The anomaly detector of MLPerf Tiny: 640-128-128-128-128-8-128-128-128-128-640."""
    return mlp.build(shape, shape[0], width, seed, sizes=(128, 128, 128, 128, 8, 128, 128, 128, 128))


def one_layer(shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    return mlp.build(shape, classes, width, seed, sizes=())


def ternary_dscnn(shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """DS-CNN whose pointwise and depthwise weights are -1, 0 and +1 times a scale of their channel."""
    graph = dscnn.build(shape, classes, width, seed)
    layers = [node for node in graph.nodes if node.op in ("conv", "linear")][1:-1]
    names = [node.params["weight"] for node in layers]
    return graph.with_weights({n: Ternary.fit(graph.weights[n].decode(), "channel") for n in names})


# name -> (architecture, input shape, outputs, recipe)
NETWORKS: dict[str, tuple[Callable[..., Graph], tuple[int, ...], int, str]] = {
    "FC 64→32": (one_layer, (64,), 32, INT8),
    "LeNet-5": (lenet.build, (28, 28, 1), 10, INT8),
    "1-D CNN (watch)": (cnn1d.build, (200, 6), 7, INT8),
    "GRU 10→64, 49 steps": (gru.build, (49, 10), 12, INT8),
    "autoencoder 640-128-8-128-640": (autoencoder, (640,), 640, INT8),
    "LeNet-5, 4 bit": (lenet.build, (28, 28, 1), 10, "- quantize.affine: {bits: 4}"),
    "DS-CNN": (dscnn.build, (49, 10, 1), 12, INT8),
    "DS-CNN, ternary": (ternary_dscnn, (49, 10, 1), 12, INT8),
    "ResNet-8": (resnet8.build, (32, 32, 3), 10, INT8),
    "ResNet-8, binary (XNOR)": (resnet8.build, (32, 32, 3), 10, f"- binarize.xnor: {{}}\n{INT8}"),
}
# In the order in which they run. The Pi 3 and the phone have the Cortex-A53's core.
TARGETS = (
    *("cortex-m4", "cortex-m0", "cortex-m33", "cortex-m7", "cortex-m55"),
    *("cortex-m3", "rv32imc", "cortex-a53", "pi-zero"),
)
INPUTS, REPEATED = 200, 3
HOW = (
    "Firmware built with clang -Os (-O2 for computers), `flash` and `RAM` read from the linked ELF file "
    "(with startup code, inputs, outputs and {stack} B of reserved stack; on a computer RAM holds the "
    "image too). Outputs and instructions: the firmware ran {inputs} random inputs in an emulator "
    "(unicorn; QEMU for the M55), each compared byte by byte with the exact reference. `instructions` "
    "are of the input that took most, `spread` is how much fewer the quickest took, and `again` says "
    "whether the first {repeated} inputs took the same instructions in two more runs. A MAC is counted "
    "as a dense kernel executes it. Instructions are not cycles. Weights are random, ternary and binary "
    "ones too. M4, M7 and M33 run the DSP variants, the M55 those and its vector unit. The arena is "
    "planned before anything runs, and measured by paint that the emulated network overwrites. CMSIS- "
    "NN's own figure for FC 64→32 on an M4, built the same way, is 5,547 instructions (2.71 a MAC); its "
    "source can't be had from a package registry, so it is not run."
)


def measured(name: str, target: Target, known: dict[str, Any], inputs: int) -> dict[str, Any]:
    """The row of a network on a target: from `known` where nothing has changed."""
    build, shape, outputs, recipe = NETWORKS[name]
    graph = network(build, shape, outputs, recipe)
    digest = _digest(graph, target, inputs)
    if known.get("digest") == digest:
        return known
    x = random_inputs(graph, inputs)
    roomy = target.model_copy(update=ROOMY)  # whole maps everywhere, so that targets compare
    report = measure_device(graph, roomy, x)
    again = measure_device(graph, roomy, tuple(array[:REPEATED] for array in x))
    few = measure_device(graph, roomy, tuple(array[:REPEATED] for array in x))
    return _row(name, graph, report) | {"again": "same" if few == again else "differs", "digest": digest}


def _row(name: str, graph: Graph, report: DeviceReport) -> dict[str, Any]:
    total = int(report.value("instructions"))
    count = sum(macs(expand_weights(graph)).values())
    return {
        "network": name,
        "target": report.target,
        "exact": f"{report.inputs - report.differing} of {report.inputs}",
        "instructions": total,
        "spread": total - min(report.counts),
        "a MAC": round(total / count, 3),
        "flash, B": int(report.value("flash_bytes")),
        "code, B": int(report.value("code_bytes")),
        "RAM, B": int(report.value("ram_bytes")),
        "arena planned, B": CEmitter()
        .scheduled(graph, _roomy(load_target(report.target)))
        .program.arena_bytes,
        "arena measured, B": int(report.value("arena_used_bytes")),
        "stack used, B": int(report.value("stack_used_bytes")),
        "layers": dict(report.layers),
    }


def _digest(graph: Graph, target: Target, inputs: int) -> str:
    """Changes whenever the firmware, the device or the number of inputs do."""
    digest = hashlib.sha256(f"{target.model_dump_json()} {inputs}".encode())
    device = _roomy(target)
    with tempfile.TemporaryDirectory() as scratch:
        folder = CEmitter().emit(graph, device, Path(scratch) / "c").folder
        for _, content in read_image(build_firmware(folder, device, Path(scratch))).segments:
            digest.update(content)
    return digest.hexdigest()[:16]


def _roomy(target: Target) -> Target:
    """As measured: what does not fit the device is not cut into strips, but shown to be too large."""
    return target.model_copy(update={"flash_bytes": ROOMY_BYTES, "ram_bytes": ROOMY_BYTES})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--only", default="", help="networks whose name contains this, printed, not written")
    parser.add_argument(
        "--target", choices=TARGETS, action="append", help="only these; the others' rows stay"
    )
    asked = parser.parse_args()
    path = RESULTS / "mcu.json"
    old = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
    known = {(row["network"], row["target"]): row for row in old}
    pairs = [(n, t) for t in asked.target or TARGETS for n in NETWORKS if asked.only in n]
    for name, target in progress(pairs, "devices"):
        row = measured(name, load_target(target), known.get((name, target), {}), asked.inputs)
        if asked.only:
            print(json.dumps(row, ensure_ascii=False))
            continue
        known[name, target] = row
        write(known, asked.inputs)


def write(known: dict[tuple[str, str], dict[str, Any]], inputs: int) -> None:
    """After every row, so that nothing is lost."""
    rows = [known[n, t] for n in NETWORKS for t in TARGETS if (n, t) in known]
    how = HOW.format(inputs=inputs, repeated=REPEATED, stack=load_target("cortex-m4").stack_bytes)
    hidden = ("layers", "digest")
    shown = [{key: value for key, value in row.items() if key not in hidden} for row in rows]
    write_results("mcu", "Networks on emulated devices", shown, how)
    data = json.loads((RESULTS / "mcu.json").read_text("utf-8"))
    data["rows"] = rows
    (RESULTS / "mcu.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
