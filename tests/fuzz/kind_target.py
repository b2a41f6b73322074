"""Device descriptions: bytes, values of fields, and text that TOML gives a meaning to."""

from __future__ import annotations

from pathlib import Path
from random import Random

from smidgen.targets.registry import FOLDER, load_target
from tests.fuzz.mutations import damaged

SUFFIX = ".toml"
SOUND = tuple(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml")))
VALUES = (
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0",
    "-1",
    "9223372036854775808",
    "9" * 5000,
    "true",
    '""',
    "''",
    '"""',
    "[]",
    "{}",
    "[" * 2000,
    "{a=" * 2000,
    '"\\u0000"',
    '"ü"',
    "1979-05-27",
    "0x",
    "1_",
    '"host"',
    '"microcontroller"',
    '"../../x"',
    '"cortex_m4; rm"',
    '"%s%n"',
    "'" * 3,
    "2.5",
    "1e3",
    "a.b.c = 1",
    "[[a]]",
    "\t",
    "\r",
)


def case(rng: Random) -> bytes:
    text = rng.choice(SOUND)
    kind = rng.randrange(3)
    if kind == 0:
        return damaged(text.encode(), rng, rng.choice(SOUND).encode())
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    if kind == 1:
        lines[at] = lines[at].partition("=")[0] + "= " + rng.choice(VALUES)
    else:
        lines.insert(
            at, rng.choice((lines[at], rng.choice(lines), rng.choice(VALUES), "[" + "a." * 3000 + "a]"))
        )
    return "\n".join(lines).encode()


def use(path: Path) -> None:
    target = load_target(path)
    assert target.size_axis in ("file_bytes", "flash_bytes")
    assert type(target).model_validate_json(target.model_dump_json()) == target
