"""Apply one recipe by hand, without a search: train, compress, lower to integers, write, look inside.

A recipe is a list of steps in YAML. `smidgen methods` lists all of them with their settings.
"""

from pathlib import Path

import smidgen
from smidgen import api
from smidgen.codec.container import write_smg
from smidgen.codec.inspect import inspect_smg
from smidgen.lower import lower
from smidgen.measure.accuracy import accuracy
from smidgen.methods import Context
from smidgen.tasks import load_task

RECIPE = """
- prune.global_magnitude: {sparsity: 0.8, schedule: gradual}
- quantize.affine: {bits: 4, granularity: group}
- distill.logits: {temperature: 4.0}
- tune.fit: {epochs: 15}
"""

task = load_task("digits")
data = task.load()
trained = task.baseline(data)

# Steps declare what they want; tune.fit trains all of it at once. `lower` is where floats become integers.
context = Context(data, original=trained, seed=0)
integer = lower(smidgen.Recipe.from_yaml(RECIPE).apply(trained, context))

file = Path("runs/examples/one_recipe/model.smg")
file.parent.mkdir(parents=True, exist_ok=True)
write_smg(file, [integer])
found = accuracy(api.network(integer).predict(data.validation.x), data.validation.y)
print(f"validation accuracy {found.value:.1f}%, {found.how} on the artifact's integers")

report = inspect_smg(file)
for weight in report.weights:
    if len(weight.shape) > 1:
        before, after = weight.float32_bytes, weight.coded_bytes
        print(f"{weight.names[0]:15} {weight.label:15} {before:8,} B → {after:6,} B, 1/{before / after:.1f}")
print(f"the whole file: {report.file_bytes:,} B")
