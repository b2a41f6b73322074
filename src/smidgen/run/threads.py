"""How many threads a native plan shares its samples out among: one, unless more are asked for."""

from __future__ import annotations

import os

from smidgen.errors import BadInput

VARIABLE = "SMIDGEN_THREADS"
MOST_THREADS = 256


def chosen_threads(asked: int | None = None) -> int:
    """`asked` (1 to 256), else what SMIDGEN_THREADS says, else 1.

    Raises:
        BadInput: either is no such number.
    """
    if asked is not None:
        return _checked("threads", asked, str(asked))
    told = os.environ.get(VARIABLE, "1")
    return _checked(VARIABLE, int(told) if told.isascii() and told.isdigit() else 0, repr(told))


def _checked(where: str, threads: int, found: str) -> int:
    if not 1 <= threads <= MOST_THREADS:
        raise BadInput(where, found, f"a whole number from 1 to {MOST_THREADS} is needed")
    return threads
