"""One header, or an Arduino library: the same network in other files, compiled and run here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CArtifact, CEmitter
from smidgen.errors import BadInput
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware
from smidgen.targets.host import FLAGS, find_compiler
from tests.conftest import require
from tests.integer_networks import NETWORKS, integer_network, random_integers
from tests.targets.test_cross import need

# What the sketch uses of an Arduino, and a main that runs it as a board would.
BOARD = """
#include <cstdio>
struct Port {
    void begin(long) {}
    void print(int n) { std::printf("%d", n); }
    void print(const char *text) { std::printf("%s", text); }
    void println(const char *text) { std::printf("%s\\n", text); }
} Serial;
"""


def emit(name: str, layout: str, folder: Path) -> CArtifact:
    require(find_compiler(), "a C compiler")
    return CEmitter(layout=layout).emit(integer_network(name), load_target("generic-c"), folder / "out")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_single_header_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    artifact, x = emit(name, "single-header", tmp_path), random_integers(integer_network(name), 5)
    assert np.array_equal(artifact.run(x), run_integer(integer_network(name), x))


def test_a_single_header_needs_no_other_file(tmp_path: Path) -> None:
    folder = emit("sink", "single-header", tmp_path).folder
    (tmp_path / "alone").mkdir()
    shutil.copy(folder / "sink_model.h", tmp_path / "alone")
    (tmp_path / "alone/one.c").write_text('#define SINK_IMPLEMENTATION\n#include "sink_model.h"\n')
    (tmp_path / "alone/two.c").write_text('#include "sink_model.h"\nint n = SINK_ARENA_BYTES;\n')
    command = [*(find_compiler() or []), *FLAGS, "-c", "one.c", "two.c"]
    done = subprocess.run(command, cwd=tmp_path / "alone", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_single_header_checks_itself(tmp_path: Path) -> None:
    assert emit("sink", "single-header", tmp_path).selftest() == "3 of 3 samples agree in every layer"


def test_a_single_header_is_firmware_too(tmp_path: Path) -> None:
    need("ziglang", "elftools")
    m4 = load_target("cortex-m4")
    folder = CEmitter(layout="single-header").emit(integer_network("sink"), m4, tmp_path / "out").folder
    assert build_firmware(folder, m4, tmp_path).exists()


@pytest.mark.parametrize("name", ["sink", "very sparse"])
def test_an_arduino_sketch_finds_that_all_samples_agree(name: str, tmp_path: Path) -> None:
    require(shutil.which("c++") or shutil.which("g++"), "a C++ compiler")
    folder = emit(name, "arduino", tmp_path).folder
    c, cxx = find_compiler() or [], shutil.which("c++") or shutil.which("g++") or ""
    objects = tmp_path / "objects"
    objects.mkdir()
    sources = [str(path) for path in sorted(folder.glob("src/**/*.c"))]
    subprocess.run([*c, *FLAGS, "-c", *sources], cwd=objects, check=True)
    sketch = folder / "examples/SelfTest/SelfTest.ino"
    text = f'#include <cstdint>\n{BOARD}\n#include "{sketch}"\nint main() {{ setup(); loop(); }}\n'
    (tmp_path / "board.cpp").write_text(text)
    built = [cxx, "-Wall", "-Wextra", "-Werror", f"-I{folder / 'src'}", "board.cpp"]
    subprocess.run([*built, *map(str, objects.glob("*.o")), "-o", "board"], cwd=tmp_path, check=True)
    said = subprocess.run([str(tmp_path / "board")], capture_output=True, text=True, check=True).stdout
    assert said == "3 of 3 samples agree\n"


def test_an_arduino_library_has_what_the_tools_look_for(tmp_path: Path) -> None:
    folder = emit("sink", "arduino", tmp_path).folder
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    assert properties["name"] == "sink"
    assert (folder / "src" / properties["includes"]).exists()


def test_an_unknown_layout_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are project, single-header, arduino"):
        CEmitter(layout="zip").emit(integer_network("int8"), load_target("generic-c"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_readme_states_what_the_firmware_takes(tmp_path: Path) -> None:
    need("ziglang", "elftools", "unicorn")
    emitter = CEmitter(measured=True)
    text = (
        emitter.emit(integer_network("int8"), load_target("cortex-m4"), tmp_path).folder / "README.md"
    ).read_text()
    assert "| flash, all of the firmware (bytes) |" in text
    assert "| emulated |" in text
    assert "@" not in text


def test_the_readme_for_a_host_gives_no_figures(tmp_path: Path) -> None:
    made = CEmitter(measured=True).emit(integer_network("int8"), load_target("generic-c"), tmp_path)
    assert "depends on the compiler" in (made.folder / "README.md").read_text()


def test_libraries_are_never_called(tmp_path: Path) -> None:
    require(shutil.which("nm"), "nm")
    folder = emit("sink", "project", tmp_path).folder
    sources = [str(p) for p in folder.glob("**/*.c") if p.name not in ("runner.c", "selftest.c")]
    subprocess.run([*(find_compiler() or []), *FLAGS, "-c", *sources], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["nm", "-P", *map(str, tmp_path.glob("*.o"))], capture_output=True, text=True, check=True
    ).stdout
    symbols = [line.split() for line in listed.splitlines() if len(line.split()) > 1]
    defined = {name for name, kind, *_ in symbols if kind != "U"}
    wanted = {name for name, kind, *_ in symbols if kind == "U"} - defined
    assert wanted <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
