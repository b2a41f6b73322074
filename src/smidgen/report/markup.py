"""HTML by construction: text is escaped unless it was built here."""

from __future__ import annotations

import html
import json


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: str | None, **attrs: str | float | None) -> Markup:
    """`<name attrs>children</name>`; None vanishes, and so does the last underscore of `class_`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attrs.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str | None) -> Markup:
    """Children one after another, each escaped unless it is Markup."""
    kept = (child for child in children if child is not None)
    return Markup("".join(child if isinstance(child, Markup) else html.escape(child) for child in kept))


def script_json(data: object) -> str:
    """JSON that can stand inside a script element: no text in it can close the element."""
    text = json.dumps(data, ensure_ascii=True, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
