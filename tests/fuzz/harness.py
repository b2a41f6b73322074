"""One hostile file after the other: each is opened as a user would open it, or refused by a SmidgenError.

A kind of file is a module of this folder with `SUFFIX`, `case(rng)` (the bytes of a hostile file) and
`use(path)` (what a user does with such a file).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol, cast

from smidgen.errors import SmidgenError

KINDS = ("smg", "onnx", "npz", "parquet", "recipe", "target")
LOADED = "loaded"


class Kind(Protocol):
    """What a module of this folder offers."""

    SUFFIX: str
    case: Callable[[Random], bytes]
    use: Callable[[Path], None]


def kind_of(name: str) -> Kind:
    return cast(Kind, importlib.import_module(f"tests.fuzz.kind_{name}"))


def seeded(name: str, number: int) -> Random:
    """The random numbers of a case: it can be made again alone."""
    return Random(f"{name} {number}")


def attempt(kind: Kind, data: bytes, folder: Path) -> str:
    """`loaded`, or the class of the SmidgenError. Whatever else is raised passes: it is a fault."""
    path = folder / f"case{kind.SUFFIX}"
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.use(path)
    except SmidgenError as refused:
        return type(refused).__name__
    return LOADED
