"""What a user asks of a reader (`path?key=value&key=value`), and what a reader hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smidgen.errors import BadInput

KEYS: Mapping[str, str] = {
    "image": "the column with images",
    "audio": "the column with recordings",
    "label": "the column with labels or values (several values: a,b,c)",
    "group": "the column with speakers or subjects, which are kept together",
    "split": "the column with train, validation, test",
    "resize": "HEIGHTxWIDTH of images",
    "channels": "1 (grey, mono) or 3 (RGB)",
    "layout": "hwc or chw",
    "samples": "length of a recording: longer ones are cut at the end, shorter ones filled with zeros",
}


@dataclass(frozen=True)
class Request:
    """`options` are those of KEYS that were given; `shape` is what the network takes, where that is known."""

    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None

    @staticmethod
    def parse(source: str, shape: tuple[int, ...] | None = None) -> Request:
        """Raises BadInput for an option that does not exist or is given twice."""
        path, mark, query = source.rpartition("?")
        if not mark or Path(source).exists():
            return Request(Path(source).expanduser(), {}, shape)
        options: dict[str, str] = {}
        for entry in filter(None, query.split("&")):
            key, equals, value = entry.partition("=")
            if key not in KEYS or not equals or not value:
                raise BadInput(
                    source, f"{entry!r} is no option", f"options are {', '.join(KEYS)}, as in label=NAME"
                )
            if key in options:
                raise BadInput(source, f"{key} is given twice", "one is needed")
            options[key] = value
        return Request(Path(path).expanduser(), options, shape)

    def allow(self, *keys: str) -> None:
        """Raise BadInput for an option that means nothing for this kind of data."""
        for key in self.options:
            if key not in keys:
                able = ", ".join(keys) or "none"
                raise BadInput(
                    str(self.path),
                    f"the option {key} ({KEYS[key]}) means nothing here",
                    f"options are {able}",
                )

    def whole(self, key: str) -> int | None:
        """A positive whole number, None if it was not given. Raises BadInput."""
        text = self.options.get(key)
        if text is None:
            return None
        if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
            raise BadInput(str(self.path), f"{key}={text}", "a whole number above 0 is needed")
        return int(text)

    def size(self) -> tuple[int, int] | None:
        """(height, width) of `resize`, None if it was not given. Raises BadInput."""
        text = self.options.get("resize")
        if text is None:
            return None
        height, cross, width = text.partition("x")
        if not cross or not all(
            n.isascii() and n.isdecimal() and 0 < int(n) <= 16384 for n in (height, width)
        ):
            raise BadInput(str(self.path), f"resize={text}", "HEIGHTxWIDTH is needed", "As in resize=32x32")
        return int(height), int(width)


@dataclass(frozen=True)
class Found:
    """Arrays named as in an .npz file, names of the classes in order, and what the reader decided."""

    arrays: Mapping[str, Any]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
