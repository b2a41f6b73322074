"""How much memory the contents of one file from elsewhere may take: 4 GB, or what the user says."""

from __future__ import annotations

import os

from smidgen.units import parse_bytes

DEFAULT_BYTES = 4 << 30
VARIABLE = "SMIDGEN_MAX_DECODED"
LIMIT = f"If you trust it, raise the limit: {VARIABLE}=8GB"


def decoded_bytes_limit(asked: int | None = None) -> int:
    """The limit in bytes: `asked`, else from the environment, else 4 GB. Raises BadInput for no size."""
    if asked is not None:
        return asked
    given = os.environ.get(VARIABLE)
    return DEFAULT_BYTES if not given else parse_bytes(given, VARIABLE)
