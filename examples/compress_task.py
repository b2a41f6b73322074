"""Compress a built-in task for a microcontroller and look at the frontier that comes back.

You learn what `smidgen.compress` returns: measured points, the one it would ship, and its files.
"""

import os

import smidgen

TIME = "1s" if os.environ.get("SMIDGEN_EXAMPLE_QUICK") else "2m"

done = smidgen.compress(
    "digits",
    target="cortex-m4",
    budget="flash=64KB,ram=8KB",
    max_drop=1.0,
    time=TIME,
    out="runs/examples/digits",
)

print(f"uncompressed: {done.result.reference.accuracy:.1f}% on validation")
for point in done.result.frontier:
    flash, ram = point.measurements["flash_bytes"], point.measurements["ram_bytes"]
    print(f"{flash.value:7,.0f} B flash {ram.value:6,.0f} B RAM  {point.accuracy:5.1f}%  {point.label}")

chosen = done.result.require_chosen()  # BudgetError, if nothing met the budget and kept the accuracy
print(f"\nchosen: {chosen.label}")
print(f"loss of accuracy: {done.result.drops[chosen.key]}")
print(f"files: {', '.join(sorted(path.name for path in (done.folder / 'chosen').iterdir()))}")
