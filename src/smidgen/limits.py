"""How much memory the contents of one file from elsewhere may take: 4 GB, or what the user says."""

from __future__ import annotations

import os

from smidgen.units import parse_bytes

DEFAULT_BYTES = 4 << 30
VARIABLE = "SMIDGEN_MAX_DECODED"
LIMIT = f"If you trust it, raise the limit: {VARIABLE}=8GB"


def decoded_bytes_limit() -> int:
    """The limit in bytes, from the environment or 4 GB. Raises BadInput for a value that is no size."""
    given = os.environ.get(VARIABLE)
    return DEFAULT_BYTES if not given else parse_bytes(given, VARIABLE)
