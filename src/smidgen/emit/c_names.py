"""Names and text that are safe inside C, Makefiles and CMake, whatever a user's graph is called."""

from __future__ import annotations

import re

# A model of this name would not compile.
KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
    while
"""
MAX_LENGTH = 40


def identifier(name: str, fallback: str = "model") -> str:
    """`name` with everything but ASCII letters, digits and _ replaced: a legal, unreserved C identifier.

    Names that C or the kernels (`smg_`) keep for themselves are prefixed with `fallback`.
    """
    word = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")[:MAX_LENGTH].rstrip("_")
    if not word:
        return fallback
    taken = word[0].isdigit() or word in KEYWORDS.split() or word.lower().startswith("smg")
    return f"{fallback}_{word}" if taken else word


def plain(text: str) -> str:
    """`text` for a comment, a string literal or a table cell: no quotes, escapes or line ends."""
    return re.sub(r"[^0-9A-Za-z .,_:;()+-]", "_", text)[:120]
