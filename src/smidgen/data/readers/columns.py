"""Which columns of a table are what: named by the user, or told by their names and types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smidgen.data.readers.request import Request
from smidgen.errors import BadInput

LABELS = ("label", "labels", "target", "targets", "class", "y")
GROUPS = ("speaker", "speaker_id", "group", "subject", "subject_id")
SPLITS = ("split",)
AUDIO = ("audio", "sound", "wav", "recording", "speech")
Kind = Literal["image", "audio", "numbers"]


@dataclass(frozen=True)
class Columns:
    """`media` is encoded files (`features` is then empty); `group` and `split` are empty if there is none."""

    kind: Kind
    media: str
    features: tuple[str, ...]
    labels: tuple[str, ...]
    group: str
    split: str

    @property
    def plain(self) -> tuple[str, ...]:
        """All that are read as they are, once each."""
        names = (*self.features, *self.labels, self.group, self.split)
        return tuple(dict.fromkeys(filter(None, names)))

    def describe(self) -> str:
        """What was chosen, for the user to check."""
        inputs = self.media or (
            f"{len(self.features)} columns" if len(self.features) > 4 else ", ".join(self.features)
        )
        parts = [f"inputs: {inputs} ({self.kind})", f"label: {', '.join(self.labels)}"]
        parts += [f"group: {self.group}"] if self.group else []
        parts += [f"split: {self.split}"] if self.split else []
        return "; ".join(parts)


def choose_columns(request: Request, schemas: Sequence[Any]) -> tuple[Columns, tuple[str, ...]]:
    """The columns, the same in all files, and the names of the classes if the file's metadata know them.

    Raises BadInput: a column does not exist, or several could be meant.
    """
    where, fields = str(request.path), {field.name: field.type for field in schemas[0]}
    for schema in schemas[1:]:
        if {field.name: field.type for field in schema} != fields:
            raise BadInput(where, "files with other columns", "all must have the same", "Name one file")
    for key in ("image", "audio", "group", "split"):
        _require(request.options.get(key, ""), fields, where, key)
    labels = _labels(request, fields, where)
    group, split = (
        _named(request, key, known, fields) for key, known in (("group", GROUPS), ("split", SPLITS))
    )
    rest = [name for name in fields if name not in (*labels, group, split)]
    media, kind = _media(request, {name: fields[name] for name in rest}, where)
    features = () if media else tuple(name for name in rest if _is_number(fields[name]))
    if not media and not features:
        raise BadInput(
            where, f"columns {', '.join(fields)}", "images, recordings or numbers are needed as inputs"
        )
    if not media and (left := [name for name in rest if name not in features]):
        found = f"column {left[0]} is {fields[left[0]]}"
        raise BadInput(
            where, found, "inputs are numbers", "Drop the column, or name it as label=, group= or split="
        )
    return Columns(kind, media, features, labels, group, split), _class_names(schemas[0], labels)


def _labels(request: Request, fields: dict[str, Any], where: str) -> tuple[str, ...]:
    asked = tuple(filter(None, request.options.get("label", "").split(",")))
    for name in asked:
        _require(name, fields, where, "label")
    if asked:
        return asked
    known = [name for name in fields if name.lower() in LABELS]
    if len(known) != 1:
        found = f"columns {', '.join(fields)}" if not known else f"{', '.join(known)} could all be labels"
        raise BadInput(where, found, "one must be the label", "Add ?label=NAME")
    return (known[0],)


def _media(request: Request, rest: dict[str, Any], where: str) -> tuple[str, Kind]:
    for key in ("image", "audio"):
        if key in request.options:
            if not _is_encoded(rest.get(request.options[key])):
                found = f"column {request.options[key]} is {rest.get(request.options[key], 'used otherwise')}"
                raise BadInput(where, found, "bytes of encoded files are needed")
            return request.options[key], "image" if key == "image" else "audio"
    encoded = [name for name, kind in rest.items() if _is_encoded(kind)]
    if len(encoded) > 1:
        raise BadInput(
            where, f"{', '.join(encoded)} hold files", "one is the input", "Add ?image=NAME or ?audio=NAME"
        )
    if not encoded:
        return "", "numbers"
    return encoded[0], "audio" if encoded[0].lower() in AUDIO else "image"


def _named(request: Request, key: str, known: Sequence[str], fields: dict[str, Any]) -> str:
    return request.options.get(key) or next((name for name in fields if name.lower() in known), "")


def _require(name: str, fields: dict[str, Any], where: str, key: str) -> None:
    if name and name not in fields:
        raise BadInput(where, f"there is no column {name!r} ({key})", f"it has {', '.join(fields)}")


def _is_encoded(kind: Any) -> bool:
    """Bytes, or the struct {bytes, path} of Hugging Face data sets."""
    text = str(kind)
    return text in ("binary", "large_binary") or (text.startswith("struct<") and "bytes: binary" in text)


def _is_number(kind: Any) -> bool:
    return str(kind).startswith(("int", "uint", "float", "double", "halffloat", "bool"))


def _class_names(schema: Any, labels: Sequence[str]) -> tuple[str, ...]:
    """Those that Hugging Face data sets keep beside the table; () for anything else."""
    try:
        stored = json.loads((schema.metadata or {})[b"huggingface"])
        names = stored["info"]["features"][labels[0]]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(n, str) for n in names) else ()
