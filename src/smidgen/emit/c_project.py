"""The files of an emitted C project, as text: a pure function of the Program and its golden vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Literal

from smidgen.emit import c_source
from smidgen.emit.c_golden import Golden
from smidgen.emit.c_names import identifier, plain
from smidgen.emit.coded import Limits
from smidgen.kernels import C_SOURCES, needed_files
from smidgen.lower.program import Port, Program
from smidgen.numerics import NUMERICS_VERSION
from smidgen.targets.project import MANIFEST, Manifest, Step, Tensor

INCLUDE = re.compile(r'^ *# *include "([^"]+)"', re.MULTILINE)
TEMPLATES = Path(__file__).parent / "templates" / "c"


def project_files(program: Program, golden: Golden, figures: str = "") -> dict[str, str]:
    """Path inside the project → text, everything a C99 compiler needs. `figures` go into the README."""
    manifest = manifest_of(program)
    words = {**template_words(program, manifest, golden), "figures": figures}
    return {
        "model.h": c_source.model_header(program),
        "model.c": c_source.model_source(program),
        "weights.h": c_source.weights_header(program),
        "weights.c": c_source.weights_source(program),
        "golden.h": _golden_header(program, golden),
        MANIFEST: manifest.model_dump_json(indent=2) + "\n",
        **{path.name: filled(path.read_text(), words) for path in sorted(TEMPLATES.iterdir())},
        **_kernel_files(program),
    }


def _kernel_files(program: Program) -> dict[str, str]:
    """Kernels, the files they are made of and every header those include, under `kernels/`."""
    files: dict[str, str] = {}
    waiting = ["smidgen.h", *needed_files(call.kernel for call in program.calls)]
    while waiting:
        name = waiting.pop()
        if f"kernels/{name}" not in files:
            files[f"kernels/{name}"] = text = _kernel_file(program, name)
            inside = PurePosixPath(name).parent
            waiting += [normpath(inside / found) for found in INCLUDE.findall(text)]
    return dict(sorted(files.items()))


def _kernel_file(program: Program, name: str) -> str:
    return Limits.of_program(program).header() if name == "smg_limits.h" else (C_SOURCES / name).read_text()


def manifest_of(program: Program) -> Manifest:
    """What runners read."""
    layers = c_source.layers(program)
    files = needed_files(call.kernel for call in program.calls)
    kernels = [f"kernels/{name}" for name in files if name.endswith(".c")]
    return Manifest(
        prefix=identifier(program.name),
        numerics_version=NUMERICS_VERSION,
        arena_bytes=program.arena_bytes,
        inputs=tuple(map(_tensor, program.inputs)),
        outputs=tuple(map(_tensor, program.outputs)),
        layers=tuple(layers),
        steps=tuple(Step(layer=layers[call.node].number, turns=call.turns) for call in program.calls),
        sources=("model.c", "weights.c", *kernels),
    )


def _tensor(port: Port) -> Tensor:
    dtype: Literal["int8", "int16"] = "int16" if port.dtype == "int16" else "int8"
    return Tensor(
        name=port.name, shape=port.shape, dtype=dtype, scale=float(port.grid.scale), zero=port.grid.zero
    )


def filled(text: str, words: Mapping[str, str]) -> str:
    """A template with its `@word@`s replaced."""
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def template_words(program: Program, manifest: Manifest, golden: Golden) -> dict[str, str]:
    """What the templates leave open, by name."""
    inputs = [(c_source.port_name("in", i, program.inputs), t) for i, t in enumerate(manifest.inputs)]
    outputs = [(c_source.port_name("out", i, program.outputs), t) for i, t in enumerate(manifest.outputs)]
    run = f"{manifest.prefix}_run"
    given = [f"golden_{n} + sample * {p.size}" for n, p in inputs]
    names = [n for n, _ in (*inputs, *outputs)]
    return {
        "title": plain(program.name),
        "name": manifest.prefix,
        "NAME": manifest.prefix.upper(),
        "model_sources": " ".join(manifest.sources),
        "buffers": _buffers([*inputs, *outputs]),
        "output_buffers": _buffers(outputs),
        "read": " && ".join(f"fread({n}, 1, sizeof {n}, stdin) == sizeof {n}" for n, _ in inputs),
        "write": " && ".join(f"fwrite({n}, 1, sizeof {n}, stdout) == sizeof {n}" for n, _ in outputs),
        "run": f"{run}({', '.join([*names, 'arena'])})",
        "run_golden": f"{run}({', '.join([*given, *(n for n, _ in outputs), 'arena'])})",
        "same_outputs": " && ".join(
            f"same({n}, golden_{n} + sample * {p.size}, {p.nbytes})" for n, p in outputs
        ),
        "compare_outputs": "\n        ".join(_comparison(n, p) for n, p in outputs),
        "numerics_version": str(NUMERICS_VERSION),
        "constant_bytes": f"{c_source.constant_bytes(program):,}",
        "arena_bytes": f"{program.arena_bytes:,}",
        "input_bytes": f"{manifest.input_bytes:,}",
        "output_bytes": f"{manifest.output_bytes:,}",
        "samples": str(golden.samples),
        "tensors": "\n".join(_tensor_row(n, p) for n, p in (*inputs, *outputs)),
        "layers": "\n".join(f"| {plain(call.node)} | {call.kernel} |" for call in program.calls),
    }


def _buffers(tensors: Sequence[tuple[str, Tensor]]) -> str:
    return "\n".join(f"static {t.dtype}_t {name}[{t.size}];" for name, t in tensors)


def _comparison(name: str, port: Tensor) -> str:
    crc = f"crc32((const uint8_t *){{}}, {port.nbytes})"
    expected = crc.format(f"(golden_{name} + sample * {port.size})")
    return f'compare("output {name}", {crc.format(name)}, {expected});'


def _tensor_row(name: str, port: Tensor) -> str:
    shape = " x ".join(map(str, port.shape)) or "1"
    moved = f"(q {'-' if port.zero > 0 else '+'} {abs(port.zero)})" if port.zero else "q"
    return f"| `{name}` | {shape} | {port.dtype} | {moved} * {port.scale!r} |"


def _golden_header(program: Program, golden: Golden) -> str:
    guard = f"{identifier(program.name).upper()}_GOLDEN_H"
    names = ",\n".join(f'    "{plain(node)}"' for node in c_source.layers(program))
    arrays = [
        c_source.c_array(f"golden_{c_source.port_name(stem, i, ports)}", array)
        for stem, ports, tensors in (
            ("in", program.inputs, golden.inputs),
            ("out", program.outputs, golden.outputs),
        )
        for i, array in enumerate(tensors)
    ]
    parts = [
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        f"#define GOLDEN_SAMPLES {golden.samples}",
        "",
        f"static const char *const golden_layer_names[] = {{\n{names}\n}};",
        "",
        *arrays,
        c_source.c_array("golden_layer_crc", golden.layer_crc),
        f"#endif /* {guard} */",
        "",
    ]
    return "\n".join(parts)
