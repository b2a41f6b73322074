"""The context coder: exact on any symbols and settings, safe on any bytes, and worth having."""

from __future__ import annotations

import functools
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec import sections
from smidgen.codec.container import pack_smg, take_apart, unpack_smg
from smidgen.codec.context import DOWNWARD, UPWARD, Settings
from smidgen.codec.inspect import entropy_bytes
from smidgen.codec.streams import coder_name, codings, decode_stream, encode_stream, needs_context
from smidgen.errors import BadFile
from smidgen.formats import Leaf
from smidgen.kernels import native
from tests.codec.layers import real_leaves
from tests.codec.networks import integer_network
from tests.codec.reference_context import context as reference_decode

OK, TRUNCATED, BAD_TABLE, CORRUPT = range(4)


@st.composite
def differences(draw: st.DrawFn) -> npt.NDArray[np.int32]:
    """None, rare, many or huge nonzeros, on both sides or one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.sampled_from([1, 2, 30, 400]))
    spread = draw(st.sampled_from([0.0, 0.2, 3.0, 100.0, 1e6, 1e10]))
    found = np.clip(rng.standard_t(3, n) * spread, -(2**31), 2**31 - 1).astype(np.int32)
    return {0: found, UPWARD: found & 0x7FFFFFFF, DOWNWARD: -(found & 0x7FFFFFFF)}[draw(st.integers(0, 2))]


def all_settings(found: npt.NDArray[np.int32]) -> st.SearchStrategy[Settings]:
    sides = [0, *[UPWARD] * bool(found.min() >= 0), *[DOWNWARD] * bool(found.max() <= 0)]
    shifts, rows = st.integers(0, 7), st.sampled_from([1, 3, 50, 4096])
    return st.builds(
        Settings, st.sampled_from(sides), st.integers(0, 31), st.integers(0, 6), shifts, shifts, rows
    )


def decoded(data: bytes, count: int, item: str = "u4") -> tuple[int, npt.NDArray[np.uint32]]:
    out = np.zeros(count, item)
    return native().context_decode(data, 0, out), out


@given(st.data(), differences())
@settings(max_examples=300)
def test_every_setting_gives_back_every_difference(data: st.DataObject, found: npt.NDArray[np.int32]) -> None:
    coded = data.draw(all_settings(found)).encode(found.view(np.uint32), 100_000)
    status, out = decoded(coded, found.size)
    assert status == OK
    assert np.array_equal(out.view(np.int32), found)


@given(st.data(), differences())
@settings(max_examples=60)
def test_a_decoder_written_from_the_description_agrees(
    data: st.DataObject, found: npt.NDArray[np.int32]
) -> None:
    coded = data.draw(all_settings(found)).encode(found.view(np.uint32), 100_000)
    assert reference_decode(coded, found.size) == found.tolist()


@given(st.data(), differences())
@settings(max_examples=60)
def test_a_coding_is_whole_or_absent(data: st.DataObject, found: npt.NDArray[np.int32]) -> None:
    chosen, words = data.draw(all_settings(found)), found.view(np.uint32)
    coded = chosen.encode(words, 100_000)
    assert chosen.encode(words, len(coded)) == coded
    assert chosen.encode(words, len(coded) - 1) == b""


@pytest.mark.parametrize("sides", [UPWARD, DOWNWARD])
def test_a_difference_on_the_wrong_side_is_not_coded(sides: int) -> None:
    assert Settings(sides, 0).encode(np.array([1, -1], np.int32).view(np.uint32), 100) == b""


def test_the_bytes_are_the_same_on_every_platform() -> None:
    found = (np.arange(3000, dtype=np.int64) ** 3 % 101 - 50) // (1 + np.arange(3000) % 7)
    coded = Settings(0, 0, 2, 3, 4, 7).encode(found.astype(np.int32).view(np.uint32), 10_000)
    assert (len(coded), zlib.crc32(coded)) == (2042, 16392503)


@functools.cache
def sound(columns: int) -> bytes:
    found = np.round(np.random.default_rng(0).normal(0, 5, 300)).astype(np.int32)
    return Settings(0, 0, columns=columns, row=20).encode(found.view(np.uint32), 10_000)


@pytest.mark.parametrize("columns", [0, 3])
def test_every_shortened_code_is_refused(columns: int) -> None:
    statuses = [decoded(sound(columns)[:size], 300)[0] for size in range(len(sound(columns)))]
    assert set(statuses) == {TRUNCATED}


@pytest.mark.parametrize("count", [299, 301])
def test_another_number_of_symbols_is_noticed(count: int) -> None:
    assert decoded(sound(0), count)[0] != OK


@given(st.binary(min_size=1, max_size=5))
def test_bytes_after_a_code_are_refused(more: bytes) -> None:
    assert decoded(sound(0) + more, 300)[0] == CORRUPT


@pytest.mark.parametrize(
    "head", [b"\xe0\x00", b"\x03\x00", b"\x00\x20\x00\x00", b"\x00\x20\x01\x10", b"\x00\xff\xff\xff"]
)
def test_settings_that_mean_nothing_are_refused(head: bytes) -> None:
    assert decoded(head + bytes(9), 3)[0] == BAD_TABLE


@given(st.binary(max_size=60), st.integers(0, 2000), st.sampled_from(["u1", "u2", "u4"]))
@settings(max_examples=500)
def test_any_bytes_decode_or_are_refused(data: bytes, count: int, item: str) -> None:
    assert decoded(data, count, item)[0] in (OK, TRUNCATED, BAD_TABLE, CORRUPT)


@given(st.integers(0, 2**32))
@settings(max_examples=300)
def test_most_damage_is_noticed_and_none_of_it_hurts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = [bytearray(sound(3)) for _ in range(20)]
    for code in codes:
        code[rng.integers(4, len(code))] ^= 1 << int(rng.integers(8))
    assert sum(decoded(bytes(code), 300)[0] != OK for code in codes) >= 10


def test_a_promise_of_symbols_without_bytes_ends_at_once() -> None:
    assert decoded(b"\x60\x00", 50_000_000, "u1")[0] == TRUNCATED


def leaf_of(symbols: npt.NDArray[np.int64], bits: int = 8) -> Leaf:
    return Leaf("w", symbols.ravel(), bits, signed=bits > 1, shape=symbols.shape)


def test_columns_of_different_sizes_are_coded_below_the_entropy_of_all_together() -> None:
    scales = np.exp(np.random.default_rng(0).uniform(-1, 3.5, 64))
    leaf = leaf_of(np.round(np.random.default_rng(1).normal(0, scales, (200, 64))).astype(np.int64))
    assert coder_name(encode_stream(leaf)) == "context"
    assert len(encode_stream(leaf)) < 0.9 * entropy_bytes(leaf.symbols)


def test_rows_of_different_sizes_are_coded_below_the_entropy_of_all_together() -> None:
    scales = np.exp(np.random.default_rng(0).uniform(-1, 3.5, 64))
    leaf = leaf_of(np.round(np.random.default_rng(1).normal(0, scales, (200, 64))).astype(np.int64).T)
    assert len(encode_stream(leaf)) < 0.9 * entropy_bytes(leaf.symbols)


def test_a_mask_of_whole_channels_takes_a_tenth_of_its_entropy() -> None:
    mask = np.zeros((64, 3, 3, 32), np.int64)
    mask[:, :, :, np.random.default_rng(0).random(32) < 0.4] = 1
    assert len(encode_stream(leaf_of(mask, 1))) < 0.1 * entropy_bytes(mask)


def test_short_streams_save_their_tables() -> None:
    rng = np.random.default_rng(0)
    short = [leaf_of(np.round(rng.normal(0, 1.2, n)).astype(np.int64), 4) for n in (30, 60, 100, 200) * 5]
    coded = sum(len(encode_stream(leaf)) for leaf in short)
    assert coded < 0.98 * sum(min(len(d) for d in codings(leaf) if not needs_context(d)) for leaf in short)


@pytest.mark.parametrize("share", [0.003, 0.05, 0.5])
def test_independent_decisions_cost_less_than_a_percent_over_their_entropy(share: float) -> None:
    mask = (np.random.default_rng(0).random(100_000) < share).astype(np.int64)
    lengths = [len(data) for data in codings(leaf_of(mask, 1)) if coder_name(data) == "context"]
    assert min(lengths) < 1.01 * entropy_bytes(mask) + 12


def test_values_left_by_pruning_are_coded_as_distances_from_zero() -> None:
    values = np.round(np.random.default_rng(0).normal(0, 6, 20_000)).astype(np.int64)
    leaf = leaf_of(values[np.abs(values) > 4])
    assert len(encode_stream(leaf)) < 1.01 * entropy_bytes(leaf.symbols)


def test_real_layers_take_less_than_with_tables_alone() -> None:
    leaves = [leaf for leaf in real_leaves().values() if leaf.symbols.size >= 500]
    with_context = sum(len(encode_stream(leaf)) for leaf in leaves)
    tables = sum(min(len(d) for d in codings(leaf) if not needs_context(d)) for leaf in leaves)
    assert with_context < 0.998 * tables


def test_a_file_with_a_context_stream_requires_the_feature() -> None:
    assert take_apart(pack_smg([integer_network()])).sections.features == ("ctx",)


def test_a_reader_without_the_coder_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_smg([integer_network()])
    monkeypatch.setattr(sections, "FEATURES", ("island",))
    with pytest.raises(BadFile, match=r"requires the feature 'ctx'\. Update smidgen"):
        unpack_smg(data)


def test_a_context_stream_inside_byte_planes_is_found() -> None:
    columns = np.random.default_rng(0).uniform(1, 60, 32)
    high = np.round(np.abs(np.random.default_rng(1).normal(0, columns, (100, 32)))).astype(np.int64) % 256
    words = Leaf("w", (high * 2**24).ravel(), 32, signed=False, shape=high.shape)
    data = encode_stream(words)
    assert coder_name(data) == "planes"
    assert needs_context(data)
    assert np.array_equal(decode_stream(data), words.symbols)
