"""Reads from an ELF file how much flash and RAM a program takes, and which symbols take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen.errors import BadFile, MissingExtra

ALLOCATED, WRITABLE = 0x2, 0x1  # section flags SHF_ALLOC, SHF_WRITE
THUMB_BIT = 1  # set in the address of a Thumb function, never in that of another


@dataclass(frozen=True)
class Symbol:
    """A function, object or mark of the linker script; `section` is .text, .rodata, .data or .bss."""

    name: str
    nbytes: int
    section: str
    address: int
    is_function: bool


@dataclass(frozen=True)
class Image:
    """What an ELF file puts where: (load address, bytes) of each segment and of the code, symbols with the
    largest first.
    """

    segments: tuple[tuple[int, bytes], ...]
    code: tuple[int, bytes]
    symbols: tuple[Symbol, ...]
    flash_bytes: int
    ram_bytes: int

    def address(self, name: str) -> int:
        """Where the symbol `name` lies. Raises BadFile if there is none."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol.address
        raise BadFile("ELF file", f"no symbol {name!r}", "firmware made by cross.build_firmware has it")


@dataclass(frozen=True)
class Footprint:
    """Bytes in flash (code, constants, initial values of data) and in RAM (data, bss, reserved stack).

    `model_bytes` are the read-only objects in flash whose names start with the model's prefix.
    """

    flash_bytes: int
    ram_bytes: int
    model_bytes: int
    symbols: tuple[Symbol, ...]

    @property
    def code_bytes(self) -> int:
        """Everything in flash that is not the model: kernels, the calls, startup, compiler's helpers."""
        return self.flash_bytes - self.model_bytes


def read_footprint(path: Path, prefix: str) -> Footprint:
    """The footprint of the ELF file at `path`; `prefix` is the model's (see `project.Manifest`).

    Raises:
        MissingExtra: pyelftools is not installed.
        BadFile: not an ELF file.
    """
    image = read_image(path)
    model = sum(s.nbytes for s in image.symbols if s.section == ".rodata" and s.name.startswith(f"{prefix}_"))
    return Footprint(image.flash_bytes, image.ram_bytes, model, image.symbols)


def read_image(path: Path) -> Image:
    """The contents of the ELF file at `path`. Raises as `read_footprint`."""
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as problem:
        raise MissingExtra("reading ELF files", "pyelftools", "mcu") from problem
    with path.open("rb") as stream:
        try:
            return _image(ELFFile(stream))
        except ELFError as problem:
            raise BadFile(str(path), f"not an ELF file ({problem})") from problem


def _image(elf: Any) -> Image:
    sections = [s for s in elf.iter_sections() if s["sh_flags"] & ALLOCATED]
    text = elf.get_section_by_name(".text")
    return Image(
        tuple((s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD") if s["p_filesz"]),
        (text["sh_addr"], text.data()) if text else (0, b""),
        _symbols(elf),
        sum(s["sh_size"] for s in sections if s["sh_type"] != "SHT_NOBITS"),
        sum(s["sh_size"] for s in sections if s["sh_flags"] & WRITABLE),
    )


def _symbols(elf: Any) -> tuple[Symbol, ...]:
    names = {number: section.name for number, section in enumerate(elf.iter_sections())}
    table = elf.get_section_by_name(".symtab")
    found = []
    for entry in table.iter_symbols() if table else ():
        function = entry["st_info"]["type"] == "STT_FUNC"
        if entry.name and not entry.name.startswith("$") and entry["st_shndx"] in names:
            address = entry["st_value"] & ~THUMB_BIT if function else entry["st_value"]
            section = names[entry["st_shndx"]]
            found.append(Symbol(entry.name, entry["st_size"], section, address, function))
    return tuple(sorted(found, key=lambda s: (-s.nbytes, s.name)))
