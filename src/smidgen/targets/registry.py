"""Finding a device description by name (`targets/*.toml`) or by the path of a user's file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from smidgen.errors import BadInput
from smidgen.files import read_bytes
from smidgen.targets.target import Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent
MAX_FILE_BYTES = 1 << 20


def target_names() -> list[str]:
    """Names of the built-in targets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_target(name_or_path: str | Path) -> Target:
    """The built-in target of that name, or the one described by a `.toml` file.

    Raises:
        BadInput: no such target or file, or the file does not describe a target; lists the known names.
    """
    asked = str(name_or_path)
    if asked in target_names():
        return _parse(FOLDER / f"{asked}.toml", asked)
    path = Path(name_or_path)
    if path.suffix != ".toml" or not os.path.exists(path):
        raise _unusable(asked, "no such target", "Name one of them, or give the path of a .toml file")
    return _parse(path, asked)


def _parse(path: Path, asked: str) -> Target:
    fix = "Correct the file"
    data = read_bytes(path, MAX_FILE_BYTES)
    try:
        fields: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        return Target.model_validate(fields)
    except ValidationError as problem:
        found = "; ".join(_sentence(error["loc"], error["msg"]) for error in problem.errors())
        raise _unusable(asked, f"not a target description: {found}", fix) from problem
    except RecursionError as problem:
        raise _unusable(asked, "it is nested too deep", fix) from problem
    except (ValueError, TypeError, LookupError) as problem:  # not UTF-8 or not TOML
        raise _unusable(asked, f"not readable as TOML ({problem})", fix) from problem


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part) for part in location)
    return f"{field}: {message}" if field else message.removeprefix("Value error, ")


def _unusable(asked: str, found: str, remedy: str) -> BadInput:
    return BadInput(f"target {asked!r}", found, f"smidgen knows {', '.join(target_names())}", remedy)
