"""Instructions of kernel calls that were emulated before, so that a search emulates no call twice."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from smidgen.lower.program import Block, Call, Program
from smidgen.numerics import Array
from smidgen.targets.cross import build_firmware
from smidgen.targets.emulator import emulate
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target

Key = tuple[str, str, tuple[int, ...], tuple[bool, ...]]

# Arguments that are added, multiplied or compared, and decide no loop.
VALUES = ("zero", "multiplier", "shift", "lo", "hi", "value")

# Kernels that walk through their whole tensors whatever is in them, so that the same arguments take the same
# instructions: exactly on Cortex-M3 and up; where saturation is a branch, within 0.02% between inputs
# (benchmarks/results/mcu.md). All others are emulated anew each time: their work depends on what is stored.
_NAMES = (
    "q_linear q_linear16 q_conv q_depthwise q_max_pool q_avg_pool q_mean q_reduce_max q_add q_add16 q_mul "
    "q_mul16 q_matmul q_requantize q_requantize16 q_table q_table16 q_softmax q_softmax_masked q_embedding "
    "fill copy transpose pad spread gather"
)
WALK_THROUGH = frozenset(f"smg_{name}" for name in _NAMES.split())
# Kernels that do so too unless the weight is sparse; its positions are this pointer of theirs.
POSITIONS = {"smg_decode": 4, "smg_q_linear_stored": 5, "smg_q_conv_stored": 5}


class CallCosts:
    """What is known about the calls of kernels; starts empty."""

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}
        self.emulated = 0  # networks

    def instructions(self, program: Program, folder: Path, target: Target, sample: Sequence[Array]) -> int:
        """Instructions of one inference of `program`, whose emitted project is in `folder`.

        `sample` [1, ...] is what the device runs if a call is new. A known network's count leaves out the few
        instructions before the first and after the last call.
        """
        calls = [call for block in program.blocks for call in _executed(program, block)]
        keys = [_key(call, target) for call in calls]
        if all(key in self._known for key in keys):
            return sum(self._known[key] for key in keys)
        self.emulated += 1
        with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
            elf = build_firmware(folder, target, Path(scratch))
            ran = emulate(elf, read_manifest(folder), target, sample)
        found = zip(calls, keys, ran.calls[0].tolist(), strict=True)
        self._known |= {key: count for call, key, count in found if _walks_through(call)}
        return ran.total_instructions


def _executed(program: Program, block: Block) -> tuple[Call, ...]:
    return program.calls[block.first : block.first + block.count] * block.turns


def _key(call: Call, target: Target) -> Key:
    sizes = tuple(size for field, size in call.args if field.partition("_")[0] not in VALUES)
    return (target.name, call.kernel, sizes, tuple(pointer is None for pointer in call.pointers))


def _walks_through(call: Call) -> bool:
    if call.kernel in POSITIONS:
        return call.pointers[POSITIONS[call.kernel]] is None
    return call.kernel in WALK_THROUGH
