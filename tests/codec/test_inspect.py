from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.container import write_smg
from smidgen.codec.inspect import entropy_bytes, inspect_smg
from smidgen.codec.streams import encode_stream
from smidgen.errors import BadFile
from tests.codec.networks import float_network, integer_network


def test_the_parts_of_a_file_add_up(tmp_path: Path) -> None:
    length = write_smg(tmp_path / "m.smg", [integer_network()])
    report = inspect_smg(tmp_path / "m.smg")
    assert report.file_bytes == length
    assert report.header_bytes + report.structure_bytes + report.stream_bytes == length
    assert sum(weight.coded_bytes for weight in report.weights) == report.stream_bytes


def test_every_weight_is_described_by_its_format(tmp_path: Path) -> None:
    graph = integer_network()
    write_smg(tmp_path / "m.smg", [graph])
    by_name = {weight.names[0]: weight for weight in inspect_smg(tmp_path / "m.smg").weights}
    assert by_name.keys() == graph.weights.keys()
    for name, fmt in graph.weights.items():
        weight = by_name[name]
        assert (weight.label, weight.shape) == (fmt.label, fmt.shape)
        assert weight.float32_bytes == 4 * np.prod(fmt.shape)
        assert weight.packed_bytes == fmt.stored_bytes()
        assert weight.coded_bytes == sum(len(encode_stream(leaf)) for leaf in fmt.leaves())
        assert [leaf.count for leaf in weight.leaves] == [leaf.symbols.size for leaf in fmt.leaves()]


def test_the_main_stream_gives_the_width_of_a_weight(tmp_path: Path) -> None:
    write_smg(tmp_path / "m.smg", [integer_network()])
    bits = {weight.names[0]: weight.bits for weight in inspect_smg(tmp_path / "m.smg").weights}
    assert (bits["conv2.weight"], bits["dense.weight"], bits["dense.bias"]) == (4, 3, 32)


def test_a_weight_shared_by_graphs_is_listed_once(tmp_path: Path) -> None:
    graph = float_network()
    write_smg(tmp_path / "m.smg", [graph, replace(graph, name="again")])
    report = inspect_smg(tmp_path / "m.smg")
    assert report.graphs == ("float", "again")
    assert [weight.names for weight in report.weights] == [("tied",), ("linear1.bias",), ("head.weight",)]


@pytest.mark.parametrize(
    ("symbols", "expected"), [([], 0.0), ([5] * 9, 0.0), ([0, 1] * 8, 2.0), ([0, 1, 2, 3], 1.0)]
)
def test_entropy_counts_bytes_of_an_ideal_code(symbols: list[int], expected: float) -> None:
    assert entropy_bytes(np.array(symbols, np.int8)) == pytest.approx(expected)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.smg").write_bytes(b"nonsense")
    with pytest.raises(BadFile, match=r"m\.smg"):
        inspect_smg(tmp_path / "m.smg")
