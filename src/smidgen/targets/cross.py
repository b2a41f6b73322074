"""Cross-compiles an emitted C project for a device and reads from the ELF file what it needs.

The compiler is the `ziglang` package; nothing else has to be installed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from smidgen.errors import BadInput, MissingExtra, SmidgenError
from smidgen.measurement import Measurement
from smidgen.targets.architecture import ARCHITECTURES
from smidgen.targets.elf import Footprint, read_footprint
from smidgen.targets.project import Manifest, read_manifest
from smidgen.targets.target import Target

STARTUP = Path(__file__).parent / "startup"
FRAME_BYTES = 768  # no function may take more of the stack; what is above it in a call takes less than 200
# -g keeps the symbols; -Os because -O2 unrolls to three times the code.
FLAGS = (
    "-g", "-Os", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic",
    "-ffreestanding", "-fno-sanitize=all", "-fno-unwind-tables", "-ffunction-sections", "-fdata-sections",
    f"-Wframe-larger-than={FRAME_BYTES}",
)  # fmt: skip
COMPILE_SECONDS = 300


def measure_cross(folder: Path, target: Target) -> list[Measurement]:
    """flash_bytes, ram_bytes, code_bytes and model_bytes of the project in `folder`, from its ELF file.

    flash_bytes = code_bytes + model_bytes, the whole image with its startup code; model_bytes are the
    model's constants and layer descriptions. ram_bytes are all static data: arena, inputs, outputs, and
    the `target.stack_bytes` reserved for the stack.

    Raises:
        MissingExtra: ziglang or pyelftools is not installed.
        BadInput: the target is not a microcontroller.
        SmidgenError: the project does not compile.
    """
    with tempfile.TemporaryDirectory() as scratch:
        elf = build_firmware(folder, target, Path(scratch))
        return measurements(read_footprint(elf, read_manifest(folder).prefix), target)


def measurements(footprint: Footprint, target: Target) -> list[Measurement]:
    """The figures of an ELF file: exact, because the file itself was read.

    A computer loads the image into its RAM, which then counts there too.
    """
    loaded = footprint.flash_bytes if target.kind == "computer" else 0
    named = {
        "flash_bytes": footprint.flash_bytes,
        "ram_bytes": footprint.ram_bytes + loaded,
        "code_bytes": footprint.code_bytes,
        "model_bytes": footprint.model_bytes,
    }
    return [Measurement(name, float(value), "byte", "measured") for name, value in named.items()]


def build_firmware(folder: Path, target: Target, scratch: Path) -> Path:
    """Compile and link `folder` with startup code; the ELF file, in `scratch`. It runs from reset.

    Kernels come from a cache of objects, so that the next candidate only compiles its own two files.
    """
    if target.kind == "host" or target.cpu is None:
        raise BadInput(f"target {target.name}", f"it is a {target.kind}", "a microcontroller is needed")
    manifest, architecture = read_manifest(folder), ARCHITECTURES[target.isa]
    flags = ["-target", architecture.triple, f"-mcpu={target.cpu}", *FLAGS, *architecture.flags]
    kernels = [name for name in manifest.sources if name.startswith("kernels/")]
    own = [str((folder / name).resolve()) for name in manifest.sources if name not in kernels]
    objects = [str(_cached_object(folder, name, flags)) for name in kernels]
    (scratch / "main.c").write_text(_filled("main.c", _main_words(manifest, target)))
    (scratch / "link.ld").write_text(_filled("link.ld", _link_words(target)))
    elf = scratch / "firmware.elf"
    link = ["-Wl,--gc-sections", "-Wl,-e,Reset_Handler", f"-Wl,-T,{scratch / 'link.ld'}"]
    sources = [*own, str(scratch / "main.c"), str(STARTUP / architecture.startup), *objects]
    _compile([*flags, f"-I{folder.resolve()}", *link, *sources, "-o", str(elf)], scratch)
    return elf


def cache_folder() -> Path:
    """Where compiled kernels are kept: SMIDGEN_CACHE, or `smidgen` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("SMIDGEN_CACHE") or f"{base}/smidgen")


def _cached_object(folder: Path, source: str, flags: Sequence[str]) -> Path:
    """The object file of a kernel."""
    headers = [path.read_bytes() for path in sorted((folder / "kernels").rglob("*.h"))]
    made_from = [(folder / source).read_bytes(), *headers]
    wanted = [*flags, "-c", str((folder / source).resolve())]
    return compiled_once(f"objects/{Path(source).stem}", ".o", " ".join(flags), made_from, wanted)


def compiled_once(
    name: str, ending: str, flags: str, made_from: Sequence[bytes], arguments: Sequence[str]
) -> Path:
    """What the compiler makes of `arguments`, kept in the cache by the hash of all that it is made from."""
    parts = [_compiler_version().encode(), flags.encode(), *made_from]
    digest = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]
    cached = cache_folder() / f"{name}-{digest}{ending}"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
            made = Path(scratch) / f"made{ending}"
            _compile([*arguments, "-o", str(made)], Path(scratch))
            os.replace(made, cached)
    return cached


def _compiler_version() -> str:
    try:
        return version("ziglang")
    except PackageNotFoundError as problem:
        raise MissingExtra("cross-compiling", "ziglang", "mcu") from problem


def _compile(arguments: Sequence[str], scratch: Path) -> None:
    _compiler_version()
    # The compiler's own cache of a candidate's objects would grow with every candidate: it is thrown away.
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig")}
    command = [sys.executable, "-m", "ziglang", "cc", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=COMPILE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as problem:
        raise SmidgenError("cross-compiling", f"it did not end within {COMPILE_SECONDS} seconds") from problem
    if done.returncode != 0:
        lines = done.stderr.splitlines() or ["the compiler failed silently"]
        raise SmidgenError("cross-compiling", next((line for line in lines if "error" in line), lines[0]))


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = (STARTUP / name).read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _main_words(manifest: Manifest, target: Target) -> dict[str, str]:
    ports = [(f"in{i}", tensor) for i, tensor in enumerate(manifest.inputs)]
    ports += [(f"out{i}", tensor) for i, tensor in enumerate(manifest.outputs)]
    return {
        "name": manifest.prefix,
        "NAME": manifest.prefix.upper(),
        "stack_bytes": str(target.stack_bytes),
        "buffers": "\n".join(f"static {t.dtype}_t {name}[{t.size}];" for name, t in ports),
        "arguments": ", ".join(name for name, _ in ports),
    }


def _link_words(target: Target) -> dict[str, str]:
    return {
        "flash_origin": hex(target.flash_origin),
        "ram_origin": hex(target.ram_origin),
    }
