"""From a recipe to a microcontroller: emit C, link it for a Cortex-M4, run that firmware in an emulator.

You learn what is exact: flash and RAM are read from the linked ELF file, and the emulated device computes
the same bytes as this computer. Instructions are counted; they are not cycles.
"""

import tempfile
from pathlib import Path

import numpy as np

from smidgen.emit.c import CEmitter
from smidgen.lower import lower
from smidgen.measure.accuracy import quantized_inputs
from smidgen.methods import Context, Recipe
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware, measure_cross
from smidgen.targets.emulator import emulate
from smidgen.targets.project import read_manifest
from smidgen.tasks import load_task

task, device = load_task("digits"), load_target("cortex-m4")
data = task.load()
trained = task.baseline(data, width=0.25)
recipe = Recipe.from_yaml("- quantize.affine: {bits: 8}")
integer = lower(recipe.apply(trained, Context(data, trained)))

project = Path("runs/examples/firmware")
CEmitter().emit(integer, device, project)
print(f"{project}: {', '.join(sorted(path.name for path in project.iterdir()))}")
for m in measure_cross(project, device):
    print(f"{m.name:12} {m.value:9,.0f} {m.unit}, {m.how}")

sample = quantized_inputs(integer, data.test.x[:1])
with tempfile.TemporaryDirectory() as scratch:
    elf = build_firmware(project, device, Path(scratch))
    on_device = emulate(elf, read_manifest(project), device, sample)
same = np.array_equal(on_device.outputs[0], run_integer(integer, sample))
count, stack = on_device.total_instructions, on_device.stack_bytes
print(f"emulated {device.name}: {count:,} instructions, {stack} B of stack")
print(f"its output equals the exact reference: {same}")
