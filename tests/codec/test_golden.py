from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.golden import Golden, golden_of, read_golden, write_golden
from smidgen.errors import BadFile, BadInput, Mismatch
from smidgen.numerics import Array
from smidgen.run.reference import run_integer
from tests.codec.networks import integer_network


def inputs(n: int = 3) -> Array:
    return np.random.default_rng(0).integers(-128, 128, (n, 8, 8, 3)).astype(np.int8)


def test_golden_vectors_come_back_equal(tmp_path: Path) -> None:
    golden = golden_of(integer_network(), inputs())
    length = write_golden(tmp_path / "model.golden", golden)
    found = read_golden(tmp_path / "model.golden")
    assert length == (tmp_path / "model.golden").stat().st_size
    for stored, array in zip((*found.inputs, *found.outputs), (*golden.inputs, *golden.outputs), strict=True):
        assert stored.dtype == array.dtype == np.int8
        assert np.array_equal(stored, array)
    assert list(found.layers.items()) == list(golden.layers.items())


def test_golden_vectors_hold_what_the_reference_computes() -> None:
    golden = golden_of(integer_network(), inputs())
    output = run_integer(integer_network(), inputs())
    assert np.array_equal(golden.outputs[0], output)
    assert golden.layers["dense"] == zlib.crc32(output.tobytes())
    assert set(golden.layers) == {node.name for node in integer_network().nodes}


def test_the_sidecar_is_hardly_larger_than_its_inputs(tmp_path: Path) -> None:
    golden = golden_of(integer_network(), inputs())
    assert write_golden(tmp_path / "model.golden", golden) < inputs().nbytes + 200


def test_the_first_layer_that_differs_is_named() -> None:
    golden = golden_of(integer_network(), inputs())
    broken = {**golden.layers, "conv2": 1, "dense": 2}
    with pytest.raises(Mismatch, match="layer conv2 has CRC-32 00000001"):
        golden.compare("model", golden.outputs, broken)


def test_an_output_that_differs_is_named() -> None:
    golden = golden_of(integer_network(), inputs())
    with pytest.raises(Mismatch, match="output 0"):
        golden.compare("model", (golden.outputs[0] + np.int8(1),), {})


def test_equal_runs_pass_the_comparison() -> None:
    golden = golden_of(integer_network(), inputs())
    again = golden_of(integer_network(), inputs())
    assert golden.compare("model", again.outputs, again.layers) is None


def test_real_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="integers"):
        write_golden(tmp_path / "model.golden", Golden((np.zeros(3),), (), {}))


def test_damaged_golden_vectors_are_refused_wherever_they_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "model.golden"
    write_golden(path, golden_of(integer_network(), inputs(1)))
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        with pytest.raises(BadFile):
            read_golden(path)


def test_mutated_golden_vectors_with_a_correct_checksum_open_or_are_refused(tmp_path: Path) -> None:
    path, rng = tmp_path / "model.golden", np.random.default_rng(0)
    write_golden(path, golden_of(integer_network(), inputs(1)))
    packed = zlib.decompress(path.read_bytes()[5:-4])
    outcomes = set()
    for _ in range(500):
        changed = bytearray(packed)
        changed[int(rng.integers(len(packed)))] = int(rng.integers(256))
        body = path.read_bytes()[:5] + zlib.compress(bytes(changed))
        (tmp_path / "changed").write_bytes(body + zlib.crc32(body).to_bytes(4, "little"))
        try:
            outcomes.add(type(read_golden(tmp_path / "changed", 1 << 20)))
        except BadFile:
            outcomes.add(BadFile)
    assert outcomes == {Golden, BadFile}


@pytest.mark.parametrize(("at", "message"), [(0, "magic"), (4, "version")])
def test_another_kind_of_file_and_a_newer_version_say_so(at: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.golden"
    write_golden(path, golden_of(integer_network(), inputs(1)))
    data = bytearray(path.read_bytes())
    data[at] ^= 3
    path.write_bytes(data)
    with pytest.raises(BadFile, match=message):
        read_golden(path)
