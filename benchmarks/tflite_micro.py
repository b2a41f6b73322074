"""Arena and flash against TFLite Micro, on the networks that MLPerf Tiny publishes as int8 .tflite files.

Arena: the published files run in the interpreter of the `tflite-micro` package, whose recording allocator
says what it took. Flash: of one published firmware, the MLPerf Tiny reference submission for image
classification on NUCLEO-L4R5ZI (mbed, GCC, -Os, CMSIS-NN kernels, an op resolver with the operators it
needs), whose linker map lies in the repository mlcommons/tiny. Ours are the same architectures in int8,
measured on linked cortex-m4 firmware. Give the folder with the three files: `python
benchmarks/tflite_micro.py --models FOLDER`. Writes results/tflite_micro.{json,md}.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.common import progress, write_results
from benchmarks.device_networks import integers
from smidgen.emit.c import CEmitter
from smidgen.measure.memory_map import memory_map
from smidgen.targets import load_target
from smidgen.targets.cross import measure_cross

ROOMY = {"flash_bytes": 1 << 26, "ram_bytes": 1 << 26}
HOST_ARENA_BYTES = 1 << 20
ALLOCATIONS = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
# Summed from image_classification.map of commit ad3b601d23775e7c3c1ad72096efc6b939f127d2, folder
# benchmark/reference_submissions/image_classification/BUILD/NUCLEO_L4R5ZI/GCC_ARM: sections in flash of the
# objects under tensorflow/ and third_party/. The model's array has the length of its file, 98,496 bytes. Not
# counted: mbed (21,132), C and C++ libraries (20,345), the harness (3,773).
PUBLISHED_CODE_BYTES = 57_086


@dataclass(frozen=True)
class Published:
    """A file of mlcommons/tiny (commit 1afd2c9820f7), in benchmark/training/<task>/trained_models."""

    ours: str
    file: str
    sha256: str
    code_bytes: int | None = None


MODELS = (
    Published(
        "ResNet-8",
        "pretrainedResnet_quant.tflite",
        "3c002613d1b2475eb51dd78dfb85a546c8ae658dee71cf6ade43b022fe205415",
        PUBLISHED_CODE_BYTES,
    ),
    Published(
        "DS-CNN", "kws_ref_model.tflite", "aeea436800704fce17b17292e4412630ad856e9d777c044c64ef748a880bd0ae"
    ),
    Published(
        "autoencoder", "ad01_int8.tflite", "87cf24194ef93d1d9b11a591d805526b98008e351655d29883c825c9c106ba24"
    ),
)


def arena(data: bytes) -> dict[str, int]:
    """Bytes of TFLite Micro's arena: total = head (tensors, inputs and outputs too) + tail (the rest)."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=HOST_ARENA_BYTES)
    interpreter.invoke()
    with tempfile.TemporaryFile() as caught:  # the allocator prints from C++
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        caught.seek(0)
        said = caught.read().decode()
    return {part: int(nbytes) for part, nbytes in ALLOCATIONS.findall(said)}


def row(published: Published, folder: Path) -> dict[str, Any]:
    data = (folder / published.file).read_bytes()
    if hashlib.sha256(data).hexdigest() != published.sha256:
        raise SystemExit(f"{folder / published.file}: another file than the one of mlcommons/tiny")
    theirs, device = arena(data), load_target("cortex-m4").model_copy(update=ROOMY)
    graph = integers(published.ours)
    with tempfile.TemporaryDirectory() as scratch:
        project = CEmitter().emit(graph, device, Path(scratch) / "project").folder
        ours = {m.name: int(m.value) for m in measure_cross(project, device)}
    buffers = ours["ram_bytes"] - device.stack_bytes
    planned = memory_map(graph, device)
    flash = published.code_bytes and len(data) + published.code_bytes
    return {
        "network": published.ours,
        "our arena": planned.arena_bytes,
        "our arena, inputs, outputs": buffers,
        "TFLM arena": theirs["total"],
        "of it tensors": theirs["head"],
        "RAM ratio": round(buffers / theirs["total"], 2),
        "our code": ours["code_bytes"],
        "our flash": ours["flash_bytes"],
        ".tflite": len(data),
        "TFLM code": published.code_bytes or "–",
        "TFLM flash": flash or "–",
        "flash ratio": round(ours["flash_bytes"] / flash, 2) if flash else "–",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder with the published .tflite files")
    folder = parser.parse_args().models
    rows = [row(published, folder) for published in progress(MODELS, "networks")]
    write_results(
        "tflite_micro",
        "RAM and flash against TFLite Micro, int8",
        rows,
        "Bytes. Ours: measured on linked cortex-m4 firmware with startup code, random weights in int8 on "
        "the same architectures; RAM without the stack on both sides. TFLM arena: measured in "
        f"tflite-micro {version('tflite-micro')} on a 64-bit host, where its pointers are twice as wide as"
        " on a microcontroller; its tensors take the same bytes everywhere and include inputs and "
        "outputs. TFLM code: from the linker map of the MLPerf Tiny reference submission, image "
        "classification on NUCLEO-L4R5ZI (mlcommons/tiny, commit ad3b601d2377; GCC -Os, CMSIS-NN, mutable"
        " op resolver), without mbed, libraries and harness; TFLM flash is that and the .tflite file.",
    )


if __name__ == "__main__":
    main()
