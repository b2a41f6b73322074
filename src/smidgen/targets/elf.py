"""Reads from an ELF file how much flash and RAM a program takes, and which symbols take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smidgen.errors import BadFile, MissingExtra

ALLOCATED, WRITABLE = 0x2, 0x1  # section flags SHF_ALLOC, SHF_WRITE


@dataclass(frozen=True)
class Symbol:
    """A function or object: its size in bytes and the section it lies in (.text, .rodata, .data, .bss)."""

    name: str
    nbytes: int
    section: str
    address: int


@dataclass(frozen=True)
class Footprint:
    """Bytes in flash (code, constants, initial values of data) and in RAM (data, bss, reserved stack).

    `model_bytes` are the symbols in flash whose names start with the model's prefix and that are not code;
    `symbols` are the largest first.
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
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as problem:
        raise MissingExtra("reading ELF files", "pyelftools", "mcu") from problem
    with path.open("rb") as stream:
        try:
            elf = ELFFile(stream)
            sections = [s for s in elf.iter_sections() if s["sh_flags"] & ALLOCATED]
            table = elf.get_section_by_name(".symtab")
            names = {i: s.name for i, s in enumerate(elf.iter_sections())}
            symbols = [
                Symbol(s.name, s["st_size"], names[s["st_shndx"]], s["st_value"])
                for s in (table.iter_symbols() if table else ())
                if s["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE") and s["st_shndx"] in names
            ]
        except ELFError as problem:
            raise BadFile(str(path), f"not an ELF file ({problem})") from problem
    flash = sum(s["sh_size"] for s in sections if s["sh_type"] != "SHT_NOBITS")
    ram = sum(s["sh_size"] for s in sections if s["sh_flags"] & WRITABLE)
    model = sum(s.nbytes for s in symbols if s.section == ".rodata" and s.name.startswith(f"{prefix}_"))
    return Footprint(flash, ram, model, tuple(sorted(symbols, key=lambda s: (-s.nbytes, s.name))))
