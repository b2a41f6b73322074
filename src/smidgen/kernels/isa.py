"""The instruction set that native plans use: the best of this processor, or what SMIDGEN_ISA says."""

from __future__ import annotations

import os

from smidgen.errors import BadInput
from smidgen.kernels import native

VARIABLE = "SMIDGEN_ISA"


def chosen_isa() -> str:
    """`ref` (portable C), on x86 `avx2`, `avx512` or `amx`, on AArch64 `neon` or `dotprod`.

    Raises:
        BadInput: SMIDGEN_ISA names one that does not exist or that this processor lacks.
    """
    supported: list[str] = native().supported_isas()
    forced = os.environ.get(VARIABLE, supported[-1])
    if forced not in supported:
        choices = ", ".join(supported)
        raise BadInput(VARIABLE, repr(forced), f"this processor runs {choices}", "Set one of them or none")
    return forced
