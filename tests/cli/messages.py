"""The messages in docs/TROUBLESHOOTING.md, as patterns."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "TROUBLESHOOTING.md"


def documented() -> list[str]:
    """The first column of every table of messages."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)


def fragments(message: str) -> list[str]:
    """The fixed parts between the ellipses."""
    return [part.strip() for part in message.split("…") if len(part.strip()) > 3]


def is_documented(error: str) -> bool:
    """True if some documented message matches the printed `error`."""
    return any(
        re.search(".*".join(re.escape(part.strip()) for part in m.split("…")), error) for m in documented()
    )
