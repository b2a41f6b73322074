"""Which of several kernels runs a call: the one that was quickest on this machine.

Candidates compute the same bytes, so a choice changes nothing but time. A plan with calls that were never
timed here is run a few times with every candidate, on one sample; the times are kept in the user's cache
folder by kernel, sizes, bytes of packed weights, instruction set, processor and version. The file may be
deleted at any time.
`SMIDGEN_CHOOSE=off` takes the usual kernel everywhere and touches no file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.errors import BadInput
from smidgen.lower.program import Call, Program
from smidgen.run.isa import VARIABLE as ISA_VARIABLE
from smidgen.run.isa import chosen_isa
from smidgen.run.kernel_cache import read_times, remember
from smidgen.run.plan_code import load, serialize

VARIABLE = "SMIDGEN_CHOOSE"
Options = Mapping[str, int]  # bytes of constants that a candidate packs, the usual one last
Times = Mapping[str, float]  # seconds by candidate, the usual one last
GAIN = 0.95  # the usual kernel stays unless another one needs less than this share of its time
BUDGET_S, LEAST_ROUNDS, MOST_ROUNDS = 0.2, 3, 40
SMALL_BYTES = 4096  # of all operands: beyond it portable kernels never win, and timing them takes long
WITH_LESSER = {"amx": ("avx512", "amx")}  # the first is the second and a few kernels more
SAME_FOR_FEW_ROWS = {"amx": "avx512"}  # one sample does not show how much better the first is for many
NO_MATTER = ("zero", "lo", "hi", "multiplier", "shift", "value")  # starts of arguments that are not sizes


def kernel_times(program: Program) -> list[Times]:
    """Seconds of each call by candidate; empty where there is one only, or everywhere if choosing is off.

    Raises:
        BadInput: SMIDGEN_CHOOSE or SMIDGEN_ISA has a value that does not exist.
        Unsupported: the program is too large for a plan.
    """
    if not choosing():
        return [{} for _ in program.calls]
    options = _options(program)
    keys = [_key(call, packed) for call, packed in zip(program.calls, options, strict=True)]
    known = read_times()
    several = [i for i, names in enumerate(options) if len(names) > 1]
    new = [i for i in several if set(known.get(keys[i], ())) != set(options[i])]
    if new:
        measured = _measured(program, options, new)
        known = {**known, **{keys[i]: measured[i] for i in new}}
        remember({keys[i]: measured[i] for i in new})
    return [
        {name: known[keys[i]][name] for name in options[i]} if i in several else {} for i in _all(program)
    ]


def quickest(times: Times) -> str:
    """The candidate to run; empty (the usual one) if nothing was timed."""
    if not times:
        return ""
    usual = list(times)[-1]
    best = min(times, key=lambda name: times[name])
    return best if times[best] < GAIN * times[usual] else usual


def choosing() -> bool:
    """Whether kernels are chosen by time. Raises BadInput for another value of SMIDGEN_CHOOSE."""
    asked = os.environ.get(VARIABLE, "on")
    if asked not in ("on", "off"):
        raise BadInput(VARIABLE, repr(asked), "it is on or off", "Set one of them or none")
    return asked == "on"


def _all(program: Program) -> range:
    return range(len(program.calls))


def _options(program: Program) -> list[Options]:
    """The candidates of each call that are worth timing. A forced instruction set is not left."""
    forced = ISA_VARIABLE in os.environ
    found = load(program.name, *serialize(program)).candidates(chosen_isa())
    return [_worthwhile(call, dict(pairs), forced) for call, pairs in zip(program.calls, found, strict=True)]


def _worthwhile(call: Call, packed: Options, forced: bool) -> Options:
    usual = list(packed)[-1]
    asked = (usual.split()[0], *WITH_LESSER.get(chosen_isa(), ()))
    kept = [name for name in packed if not forced or name.split()[0] in asked]
    kept = [name for name in kept if name != SAME_FOR_FEW_ROWS.get(usual)]
    if sum(pointer.nbytes for pointer in call.pointers if pointer) > SMALL_BYTES and usual != "ref":
        kept = [name for name in kept if name != "ref"]
    return {name: packed[name] for name in kept}


def _key(call: Call, packed: Options) -> str:
    """What the times depend on: sizes, and how much candidates pack, which values of weights decide too."""
    sizes = ",".join(f"{name}={value}" for name, value in call.args if not name.startswith(NO_MATTER))
    return f"{call.kernel} {sizes} {chosen_isa()} {','.join(map(str, packed.values()))}"


def _measured(
    program: Program, options: Sequence[Options], calls: Sequence[int]
) -> dict[int, dict[str, float]]:
    """The least seconds of `calls` by candidate: whole plans take turns, so that caches are as in use."""
    code = serialize(program)
    names = sorted({name for i in calls for name in options[i]})
    plans = {
        name: load(program.name, *code, [name if name in found else "" for found in options])
        for name in names
    }
    inputs = [np.zeros((1, *port.shape), port.dtype) for port in program.inputs]
    outputs = [np.zeros((1, *port.shape), port.dtype) for port in program.outputs]
    best = {name: np.full(len(program.calls), np.inf) for name in names}
    rounds, end = 0, time.monotonic() + BUDGET_S
    while rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and time.monotonic() < end):
        for name, plan in plans.items():
            best[name] = np.minimum(best[name], plan.times(inputs, outputs))
        rounds += 1
    return {i: {name: float(best[name][i]) for name in options[i]} for i in calls}
