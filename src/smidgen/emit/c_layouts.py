"""Other shapes of an emitted C project: one header that holds everything, or an Arduino library.

Each is a function from the project's files to files; what the C does is the same in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath

from smidgen.emit.c_project import filled
from smidgen.targets.project import MANIFEST, Manifest

Files = Mapping[str, str]

ARDUINO = Path(__file__).parent / "templates" / "arduino"
INCLUDE = re.compile(r'^ *# *include "([^"]+)"\n', re.MULTILINE)
# What a kernel's file keeps for itself: static functions, names of types, constants of enumerations.
STATIC = re.compile(r"^(?:__attribute__\(\(\w+\)\) )?static (?:inline )?[\w ]+[ *](\w+)\(", re.MULTILINE)
TYPE = re.compile(r"^\} (\w+);", re.MULTILINE)
CONSTANT = re.compile(r"^enum \{ (\w+) =", re.MULTILINE)


def as_project(files: Files, words: Mapping[str, str]) -> Files:
    """One file a kernel, with Makefile and CMakeLists.txt."""
    return files


def single_header(files: Files, words: Mapping[str, str]) -> Files:
    """NAME_model.h, and a project of two lines around it that tests it.

    One C file of a program defines NAME_IMPLEMENTATION before it includes the header; others just include.
    """
    manifest = Manifest.model_validate_json(files[MANIFEST])
    header = f"{manifest.prefix}_model.h"
    macro = f"{manifest.prefix.upper()}_IMPLEMENTATION"
    parts = [
        f"/* Define {macro} in one C file before including this header. */",
        files["model.h"],
        f"#ifdef {macro}",
        files["kernels/smidgen.h"],
        *(_alone(files, name) for name in manifest.sources if name.startswith("kernels/")),
        INCLUDE.sub("", files["weights.h"]),
        INCLUDE.sub("", files["weights.c"]),
        INCLUDE.sub("", files["model.c"]),
        f"#endif /* {macro} */\n",
    ]
    own = manifest.model_copy(update={"sources": ("model.c",)})
    kept = {name: _built_from(text, manifest, own) for name, text in files.items() if "kernels/" not in name}
    return {
        **{name: text for name, text in kept.items() if name not in ("weights.h", "weights.c")},
        header: "\n".join(parts),
        "model.h": f'#include "{header}"\n',
        "model.c": f'#define {macro}\n#include "{header}"\n',
        "README.md": kept["README.md"].replace('#include "model.h"', f'#include "{header}"'),
        MANIFEST: own.model_dump_json(indent=2) + "\n",
    }


def _built_from(text: str, old: Manifest, new: Manifest) -> str:
    return text.replace(" ".join(old.sources), " ".join(new.sources))


def _alone(files: Files, name: str) -> str:
    """A kernel whose own names carry the kernel's, so that several fit into one file."""
    kernel = PurePosixPath(name).stem
    text, own = _whole(files, name, frozenset())
    found = sorted({word for pattern in (STATIC, TYPE, CONSTANT) for word in pattern.findall(own)})
    defined = "".join(f"#define {word} {kernel}_{word}\n" for word in found)
    return f"{defined}{text}" + "".join(f"#undef {word}\n" for word in found)


def _whole(files: Files, name: str, above: frozenset[str]) -> tuple[str, str]:
    """The file with the headers it includes in place, and the part that no include guard protects."""
    text, own = files[name], []

    def replaced(match: re.Match[str]) -> str:
        inner = normpath(PurePosixPath(name).parent / match[1])
        if inner in above or inner == "kernels/smidgen.h":
            return ""
        whole, unguarded = _whole(files, inner, above | {name})
        own.append(unguarded)
        return whole

    guarded = re.search(r"^#ifndef \w+_H$", text, re.MULTILINE)
    whole = INCLUDE.sub(replaced, text)
    return whole, "" if guarded else "\n".join([text, *own])


def arduino(files: Files, words: Mapping[str, str]) -> Files:
    """An Arduino library: sources in src/, a sketch that runs the golden vectors in examples/SelfTest/."""
    manifest = Manifest.model_validate_json(files[MANIFEST])
    header = f"{manifest.prefix}_model.h"
    sources = {name for name in files if name.endswith((".c", ".h")) and "/" not in name}
    sources -= {"golden.h", "runner.c", "selftest.c"}
    moved = {f"src/{name}": files[name] for name in (*sources, *(n for n in files if "kernels/" in n))}
    moved[f"src/{header}"] = moved.pop("src/model.h")
    moved["src/model.c"] = moved["src/model.c"].replace('"model.h"', f'"{header}"')
    own = manifest.model_copy(update={"sources": tuple(f"src/{name}" for name in manifest.sources)})
    written = {path.name: filled(path.read_text(), {**words, "header": header}) for path in ARDUINO.iterdir()}
    return {
        **dict(sorted(moved.items())),
        "library.properties": written["library.properties"],
        "examples/SelfTest/SelfTest.ino": written["SelfTest.ino"],
        "examples/SelfTest/golden.h": files["golden.h"],
        "README.md": f"{_before_use(files['README.md'])}{_arduino_use(header)}",
        MANIFEST: own.model_dump_json(indent=2) + "\n",
    }


def _before_use(readme: str) -> str:
    return readme.partition("## Use")[0]


def _arduino_use(header: str) -> str:
    return (
        "## Use\n\nPut this folder into the sketchbook's `libraries` and write "
        f"`#include <{header}>`.\nThe example SelfTest runs the golden vectors on the board.\n"
    )


LAYOUTS: Mapping[str, Callable[[Files, Mapping[str, str]], Files]] = {
    "project": as_project,
    "single-header": single_header,
    "arduino": arduino,
}
