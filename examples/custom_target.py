"""Describe your own board in a TOML file, ask which networks could fit, then compress one for it.

The same file works on the command line: smidgen check mnist --target examples/custom_target.toml
"""

import os
from pathlib import Path

import smidgen
from smidgen.measure.feasibility import problems_of
from smidgen.targets import load_target
from smidgen.tasks import load_task, task_names

board = Path(__file__).with_name("custom_target.toml")

for name in task_names():  # judged as int8, before any training or compression
    problems = problems_of(load_task(name).model(), load_target(board))
    print(f"{name}: {'; '.join(map(str, problems)) or 'nothing stands in the way'}")

done = smidgen.compress(
    "digits",
    target=str(board),
    max_drop=2.0,
    time="1s" if os.environ.get("SMIDGEN_EXAMPLE_QUICK") else "2m",
    out="runs/examples/custom_target",
)
chosen = done.result.require_chosen()
flash, ram = chosen.measurements["flash_bytes"], chosen.measurements["ram_bytes"]
print(f"{chosen.label}: {flash.value:,.0f} B of flash, {ram.value:,.0f} B of RAM, {chosen.accuracy:.1f}%")
