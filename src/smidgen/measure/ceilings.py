"""What this processor reaches at best on one thread: arithmetic, and reading each level of memory.

Best of several short measurements: a busy machine is slower now and then, never faster.
Ref: Williams, Waterman, Patterson 2009, "Roofline" (doi:10.1145/1498765.1498785).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.kernels import native
from smidgen.numerics import Array
from smidgen.run.isa import chosen_isa

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
ASSUMED_BYTES = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}  # where the system does not say
DRAM_BYTES = 64 << 20
ROUNDS, REPEATS, READ_BYTES = 50_000, 25, 32 << 20
ARITHMETIC = {
    "multiply_add": "fp32 FMA",
    "dot": "int8 dot product",
    "popcount": "xor + popcount",
    "tiles": "int8 tiles",
}
UNITS = {"K": 10, "M": 20, "G": 30}
Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Ceilings:
    """Of one instruction set.

    Attributes:
        operations: operations a second by kind, `multiply_add`, `dot`, `popcount`, `tiles`, as far as it has
            them.
        bandwidth: bytes a second by level, `L1`, `L2`, `L3`, `DRAM`, in this order.
        cache_bytes: the size of each cache.
    """

    isa: str
    operations: Mapping[str, float]
    bandwidth: Mapping[str, float]
    cache_bytes: Mapping[str, int]

    def level(self, nbytes: float) -> str:
        """Where so many bytes stay between two uses."""
        return next((name for name, size in self.cache_bytes.items() if nbytes <= size), "DRAM")


def measure_ceilings(tell: Tell = lambda fraction, message: None) -> Ceilings:
    """Measure for the instruction set in use, in a second or two. `tell(fraction, message)` hears of it."""
    isa, caches = chosen_isa(), cache_sizes()
    operations: dict[str, float] = {}
    steps = len(ARITHMETIC) + len(caches) + 1
    for done, (kind, name) in enumerate(ARITHMETIC.items()):
        tell(done / steps, name)
        if best := _operations(isa, kind):
            operations[kind] = best
    bandwidth: dict[str, float] = {}
    below = 0
    for done, (level, size) in enumerate(caches.items()):
        tell((len(ARITHMETIC) + done) / steps, f"{level} bandwidth")
        # Half of the cache, but no more than is surely its own: the last one may be shared with others.
        bandwidth[level] = _bandwidth(isa, buffer(min(size // 2, max(8 * below, 16 << 10))))
        below = size
    tell((steps - 1) / steps, "DRAM bandwidth")
    bandwidth["DRAM"] = _dram_bandwidth(isa, 4 * max(caches.values()))
    return Ceilings(isa, operations, bandwidth, caches)


def cache_sizes(folder: Path = CACHES) -> dict[str, int]:
    """Bytes of each data cache by level, as the system tells them."""
    found = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size[:-1]) << UNITS[size[-1]] if size[-1] in UNITS else int(size)
    return dict(sorted(found.items())) or dict(ASSUMED_BYTES)


def buffer(nbytes: int) -> Array:
    """Bytes that start at a cache line, all of them written once."""
    whole = np.ones(nbytes + 64, np.uint8)
    start = -whole.ctypes.data % 64
    return whole[start : start + nbytes]


def _operations(isa: str, kind: str) -> float:
    runs = [native().ceiling_arithmetic(isa, kind, ROUNDS) for _ in range(REPEATS)]
    return max(count / seconds if count else 0.0 for count, seconds in runs)


def _bandwidth(isa: str, x: Array) -> float:
    times = max(1, READ_BYTES // x.size)
    return float(max(x.size * times / native().ceiling_read(isa, x, times) for _ in range(REPEATS)))


def _dram_bandwidth(isa: str, beyond_bytes: int) -> float:
    """Of bytes taken out of the caches first; where that can't be asked for, of far more than fit in."""
    x = buffer(DRAM_BYTES)
    if not native().evict(x):
        return _bandwidth(isa, buffer(beyond_bytes))
    best = 0.0
    for _ in range(5):
        native().evict(x)
        best = max(best, x.size / native().ceiling_read(isa, x, 1))
    return best
