"""Builds an emitted C project with this computer's compiler and runs it as a separate process."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from smidgen.errors import BadInput, Mismatch, SmidgenError
from smidgen.numerics import Array
from smidgen.targets.project import Manifest, pack_samples, read_manifest, unpack_samples

FLAGS = ("-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
BUILD_SECONDS = 120
RUN_SECONDS = 600


def find_compiler() -> list[str] | None:
    """The command of the C compiler: `CC` of the environment, else cc, gcc or clang; None without."""
    asked = shlex.split(os.environ.get("CC", ""))
    for command in (asked, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command
    return None


@dataclass(frozen=True)
class HostRunner:
    """The project in `folder`. Programs are built on first use, into `folder/build`, and again when a source
    or the compiler has changed.
    """

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        return read_manifest(self.folder)

    def run(self, x: Array | Sequence[Array]) -> tuple[Array, ...]:
        """All outputs for quantized inputs [n, ...] of the manifest's types.

        Raises:
            BadInput: wrong shape or type, or there is no C compiler.
            SmidgenError: the project does not compile or its process fails.
        """
        raw = pack_samples(self.manifest.inputs, x)
        done = _execute([str(self._build("runner"))], RUN_SECONDS, raw)
        if done.returncode != 0:
            raise SmidgenError(str(self.folder), f"the runner ended with code {done.returncode}")
        return unpack_samples(self.manifest.outputs, done.stdout, len(raw) // self.manifest.input_bytes)

    def selftest(self) -> str:
        """Run the golden vectors and return what the program says. Raises Mismatch if a layer differs."""
        done = _execute([str(self._build("selftest", "-DSMIDGEN_TRACE"))], RUN_SECONDS)
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode != 0:
            first = said.splitlines()[0] if said else f"it ended with code {done.returncode}"
            raise Mismatch(f"{self.folder}: selftest", first, "", "Emit the project again")
        return said

    def library(self) -> Path:
        """The model as a shared library, with the flags of the programs. Raises BadInput and SmidgenError."""
        return self._build("model", "-shared", "-fPIC")

    def _build(self, program: str, *flags: str) -> Path:
        compiler = find_compiler()
        if compiler is None:
            raise BadInput("host", "no C compiler was found", "", "Install gcc or clang, or set CC")
        sources = dict.fromkeys((f"{program}.c", *self.manifest.sources))
        command = [*compiler, *FLAGS, *flags, *sources]
        built = self.folder.resolve() / "build" / f"{program}-{self._digest(command)}"
        if not built.exists():
            built.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
                made = Path(scratch) / program
                compiled = _execute([*command, "-o", str(made)], BUILD_SECONDS, cwd=self.folder)
                if compiled.returncode != 0:
                    raise SmidgenError(
                        str(self.folder), f"{compiler[0]} says {_first_error(compiled.stderr)}"
                    )
                os.replace(made, built)
        return built

    def _digest(self, command: Sequence[str]) -> str:
        """Names what was built, so that a changed source is never answered by an old program."""
        digest = hashlib.sha256("\0".join(command).encode())
        for path in sorted([*self.folder.glob("*.[ch]"), *self.folder.glob("kernels/**/*.[ch]")]):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def _execute(
    command: Sequence[str], seconds: int, data: bytes | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=data, capture_output=True, cwd=cwd, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as problem:
        raise SmidgenError(command[0], f"it did not end within {seconds} seconds") from problem


def _first_error(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "nothing")
