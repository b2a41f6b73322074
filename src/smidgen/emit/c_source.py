"""A Program as C99 source: the calls with their argument structs, and the constants as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.emit.c_names import identifier, plain
from smidgen.lower.program import Block, Call, Constant, Pointer, Port, Program
from smidgen.numerics import Array

PER_LINE = 20
LINE_BREAK = "\n" + " " * 8
ARENA_ALIGNMENT = 16
C_TYPES = {name: f"{name}_t" for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32")}


def array_body(array: Array) -> str:
    """The elements of a 1-D integer array, `PER_LINE` a line; an empty array becomes one unused 0."""
    suffix = "u" if array.dtype == np.uint32 else ""
    words = [f"{_literal(v)}{suffix}" for v in array.tolist()] or ["0"]
    lines = (", ".join(words[i : i + PER_LINE]) for i in range(0, len(words), PER_LINE))
    return ",\n".join(f"    {line}" for line in lines)


def _literal(value: int) -> str:
    # The most negative int32 has no literal of its own in C: 2147483648 is not an int.
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def constant_name(program: Program, index: int) -> str:
    """The C name of a constant: the number makes it unique, the rest is for the reader."""
    return f"{identifier(program.name)}_c{index}_{identifier(program.constants[index].name, 'weight')}"


@dataclass(frozen=True)
class Layer:
    """A node of the graph: its number, its last call, and where its whole output then lies."""

    number: int
    last_call: int
    output: Pointer


def layers(program: Program) -> dict[str, Layer]:
    """The nodes that make calls, in order. A node may need several (a concatenation copies each part)."""
    last = {call.node: i for i, call in enumerate(program.calls)}
    return {
        node: Layer(number, last[node], program.calls[last[node]].output)
        for number, node in enumerate(dict.fromkeys(call.node for call in program.calls))
    }


def constant_bytes(program: Program) -> int:
    """Bytes of all constants: what the model itself, without code, takes in flash."""
    return sum(constant.array.nbytes for constant in program.constants)


def _declaration(program: Program, index: int, constant: Constant) -> str:
    kind = C_TYPES[constant.array.dtype.name]
    return f"const {kind} {constant_name(program, index)}[{max(constant.array.size, 1)}]"


def weights_header(program: Program) -> str:
    """weights.h: declares every constant."""
    guard = f"{identifier(program.name).upper()}_WEIGHTS_H"
    lines = [f"extern {_declaration(program, i, c)};" for i, c in enumerate(program.constants)]
    return _guarded(guard, "/* The constants of the model. */", "#include <stdint.h>", "", *lines)


def weights_source(program: Program) -> str:
    """weights.c: the constants. Packed streams are the bytes of the leaves, least significant bit first."""
    parts = ['#include "weights.h"', ""]
    for index, constant in enumerate(program.constants):
        parts.append(f"/* {plain(constant.name)}: {constant.array.nbytes} bytes */")
        parts.append(f"{_declaration(program, index, constant)} = {{\n{array_body(constant.array)}\n}};\n")
    return "\n".join(parts)


def model_header(program: Program) -> str:
    """model.h: the one function, the buffers it needs, and how real numbers map to its integers."""
    name = identifier(program.name)
    parts = [
        f"/* {plain(program.name)}: an integer network, made by smidgen. */",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {name.upper()}_ARENA_BYTES {max(program.arena_bytes, 1)}",
        f"#define {name.upper()}_LAYERS {len(layers(program))}",
        f"#define {name.upper()}_INPUT_BYTES {sum(port.nbytes for port in program.inputs)}",
        f"#define {name.upper()}_OUTPUT_BYTES {sum(port.nbytes for port in program.outputs)}",
        *_port_macros(name.upper(), "INPUT", program.inputs),
        *_port_macros(name.upper(), "OUTPUT", program.outputs),
        "",
        "/* Runs the network on one sample. Tensors are channels last; real = (q - ZERO) * SCALE.",
        f"   `arena`: {name.upper()}_ARENA_BYTES of scratch memory, aligned to {ARENA_ALIGNMENT} bytes.",
        "   Returns 0, or 1 without touching anything if the arena is not aligned. */",
        f"{signature(program)};",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
    ]
    return _guarded(f"{name.upper()}_H", *parts)


def signature(program: Program) -> str:
    """`int NAME_run(const int8_t *in, int8_t *out, uint8_t *arena)`, numbered when there are several."""
    inputs = [
        f"const {C_TYPES[port.dtype]} *{port_name('in', i, program.inputs)}"
        for i, port in enumerate(program.inputs)
    ]
    outputs = [
        f"{C_TYPES[port.dtype]} *{port_name('out', i, program.outputs)}"
        for i, port in enumerate(program.outputs)
    ]
    return f"int {identifier(program.name)}_run({', '.join([*inputs, *outputs])}, uint8_t *arena)"


def port_name(stem: str, index: int, ports: Sequence[Port]) -> str:
    return stem if len(ports) == 1 else f"{stem}{index}"


def _port_macros(prefix: str, kind: str, ports: Sequence[Port]) -> Iterable[str]:
    for index, port in enumerate(ports):
        stem = f"{prefix}_{port_name(kind, index, ports)}"
        yield ""
        yield f"/* {plain(port.name)}: {C_TYPES[port.dtype]} [{', '.join(map(str, port.shape))}] */"
        yield f"#define {stem}_SIZE {math.prod(port.shape)}"
        yield f"#define {stem}_SCALE {float(port.grid.scale)!r}"
        yield f"#define {stem}_ZERO ({port.grid.zero})"


def model_source(program: Program) -> str:
    """model.c: one call a layer. With SMIDGEN_TRACE defined, each layer's output is handed to NAME_trace."""
    name = identifier(program.name)
    return "\n".join(
        [
            '#include "model.h"',
            '#include "weights.h"',
            '#include "kernels/smidgen.h"',
            "",
            "#ifdef SMIDGEN_TRACE",
            f"void {name}_trace(int layer, const void *bytes, uint32_t nbytes);",
            f"#define TRACE(layer, bytes, nbytes) {name}_trace(layer, bytes, nbytes)",
            "#else",
            "#define TRACE(layer, bytes, nbytes) ((void)0)",
            "#endif",
            "",
            *(line for i, call in enumerate(program.calls) for line in _arguments(name, i, call)),
            f"{signature(program)} {{",
            f"    if ((uintptr_t)arena % {ARENA_ALIGNMENT} != 0) return 1;",
            *(line for block in program.blocks for line in _block(program, block)),
            "    return 0;",
            "}",
            "",
        ]
    )


def _arguments(name: str, index: int, call: Call) -> Iterable[str]:
    yield f"/* {plain(call.node)} */"
    yield f"static const {call.kernel}_args {name}_a{index} = {{"
    yield from (f"    .{field} = {_literal(value)}," for field, value in call.args)
    yield "};"
    yield ""


def _block(program: Program, block: Block) -> Iterable[str]:
    """The calls of a block, in a loop where it has several turns; a trace follows a node's last call."""
    numbers = range(block.first, block.first + block.count)
    lines = [_call(program, i, program.calls[i]) for i in numbers]
    if block.turns > 1:
        yield f"    for (int32_t t = 0; t < {block.turns}; t++) {{"
        yield from ("    " + line.replace("\n", "\n    ") for line in lines)
        yield "    }"
    else:
        yield from lines
    for layer in layers(program).values():
        if layer.last_call == numbers[-1]:
            yield f"    TRACE({layer.number}, {_pointer(program, layer.output)}, {layer.output.nbytes});"


def _call(program: Program, index: int, call: Call) -> str:
    arguments = [f"&{identifier(program.name)}_a{index}", *(_pointer(program, p) for p in call.pointers)]
    one_line = f"    {call.kernel}({', '.join(arguments)});"
    return one_line if len(one_line) <= 96 else f"    {call.kernel}({f',{LINE_BREAK}'.join(arguments)});"


def _pointer(program: Program, pointer: Pointer | None) -> str:
    """Constants and ports of int8 keep their types, so that the compiler checks them; the rest is bytes."""
    if pointer is None:
        return "0"
    moved = f" + {pointer.offset}" if pointer.offset else ""
    moved += f" {'+' if pointer.step > 0 else '-'} t * {abs(pointer.step)}" if pointer.step else ""
    if pointer.space == "arena":
        return f"(void *)(arena{moved})" if moved else "(void *)arena"
    base, const = _base(program, pointer), "" if pointer.space == "output" else "const "
    if moved:
        return f"({const}void *)(({const}uint8_t *){base}{moved})"
    return f"({const}void *){base}" if _is_wide_port(program, pointer) else base


def _is_wide_port(program: Program, pointer: Pointer) -> bool:
    ports = {"input": program.inputs, "output": program.outputs}.get(pointer.space)
    return ports is not None and ports[pointer.index].dtype != "int8"


def _base(program: Program, pointer: Pointer) -> str:
    if pointer.space == "constant":
        return constant_name(program, pointer.index)
    if pointer.space == "input":
        return port_name("in", pointer.index, program.inputs)
    return port_name("out", pointer.index, program.outputs)


def _guarded(guard: str, *lines: str) -> str:
    return "\n".join([f"#ifndef {guard}", f"#define {guard}", "", *lines, "", f"#endif /* {guard} */", ""])


def c_array(name: str, array: Array) -> str:
    """`static const T name[n] = {...};` for test data."""
    flat = np.ravel(array)
    return (
        f"static const {C_TYPES[flat.dtype.name]} {name}[{max(flat.size, 1)}] = {{\n{array_body(flat)}\n}};\n"
    )
