"""A Program as the words that `kernels/native/plan.cpp` reads; see `plan.hpp` there for the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile, Unsupported
from smidgen.kernels import native
from smidgen.lower.program import Call, Pointer, Program
from smidgen.run.isa import chosen_isa

INT32_MAX = 2**31 - 1
CONSTANT_ALIGNMENT_BYTES = 16


def load(
    name: str,
    code: npt.NDArray[np.int32],
    constants: npt.NDArray[np.uint8],
    choices: Sequence[str] = (),
) -> Any:
    """The native plan of serialized code, for the instruction set `chosen_isa`.

    `choices`: the kernel of each call (`run/choose.py`); where it names none that can run it, the usual one.

    Raises:
        BadFile: the code is corrupt: a plan never leaves its memory.
        BadInput: SMIDGEN_ISA names an instruction set that is not there.
    """
    isa = chosen_isa()
    try:
        return native().Plan(code, constants, isa, list(choices))
    except ValueError as problem:
        raise BadFile(name, f"the plan is refused ({problem})") from problem


def serialize(program: Program) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """(code int32, constants uint8).

    Raises:
        Unsupported: a size or the constants reach 2 GiB.
    """
    offsets, constants = _constant_blob(program)
    kernels = {name: i for i, name in enumerate(native().kernel_names())}
    ports = (*program.inputs, *program.outputs)
    code = [native().PLAN_VERSION, program.arena_bytes, len(program.inputs), len(program.outputs)]
    code += [*(port.nbytes for port in ports), len(program.blocks)]
    for block in program.blocks:
        code += [block.turns, block.count]
        for call in program.calls[block.first : block.first + block.count]:
            code += _call_code(call, kernels[call.kernel], offsets, len(program.inputs))
    if max(code) > INT32_MAX or constants.size > INT32_MAX:
        raise Unsupported(
            program.name, "a tensor or all weights together reach 2 GiB", "plans address 31 bits"
        )
    return np.array(code, dtype=np.int32), constants


def _constant_blob(program: Program) -> tuple[list[int], npt.NDArray[np.uint8]]:
    offsets, parts, at = [], [], 0
    for constant in program.constants:
        raw = constant.array.tobytes()
        padding = -len(raw) % CONSTANT_ALIGNMENT_BYTES
        offsets.append(at)
        parts.append(raw + bytes(padding))
        at += len(raw) + padding
    return offsets, np.frombuffer(b"".join(parts), dtype=np.uint8)


def _call_code(call: Call, kernel: int, constants: Sequence[int], inputs: int) -> list[int]:
    code = [kernel, *(value for _, value in call.args)]
    for pointer in (*call.pointers, call.output):
        code += _pointer_code(pointer, constants, inputs)
    return code


def _pointer_code(
    pointer: Pointer | None, constants: Sequence[int], inputs: int
) -> tuple[int, int, int, int]:
    """(base, offset, nbytes, step)."""
    if pointer is None:
        return -1, 0, 0, 0
    if pointer.space == "constant":
        return 1, constants[pointer.index] + pointer.offset, pointer.nbytes, 0
    base = {"arena": 0, "input": 2, "output": 2 + inputs}[pointer.space]
    return base + pointer.index, pointer.offset, pointer.nbytes, pointer.step
