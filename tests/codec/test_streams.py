from __future__ import annotations

import functools
import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.inspect import entropy_bytes
from smidgen.codec.streams import coder_name, codings, decode_stream, encode_stream, read_header
from smidgen.errors import BadFile
from smidgen.formats import Leaf
from tests.codec.layers import real_leaves
from tests.codec.reference_decoder import decode as reference_decode
from tests.conftest import require


@st.composite
def leaves(draw: st.DrawFn) -> Leaf:
    """Any width and sign; uniform, clustered or skewed symbols."""
    bits, signed = draw(st.integers(1, 32)), draw(st.booleans())
    low = -(1 << (bits - 1)) if signed else 0
    high = low + (1 << bits) - 1
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.sampled_from([0, 1, 2, 7, 100, 600]))
    spread = draw(st.sampled_from([0.0, 0.4, 3.0, 50.0, 1e4, 1e12]))
    center = draw(st.integers(low, high))
    symbols = np.clip(np.floor(rng.standard_t(3, n) * spread) + center, low, high).astype(np.int64)
    return Leaf("leaf", symbols, bits, signed)


@given(leaves())
@settings(max_examples=400)
def test_decoding_gives_back_every_symbol(leaf: Leaf) -> None:
    for data in codings(leaf):
        assert decode_stream(data).tolist() == leaf.symbols.tolist()
        header = read_header(data)
        assert (header.bits, header.signed, header.count) == (leaf.bits, leaf.signed, leaf.symbols.size)


@given(leaves())
@settings(max_examples=60)
def test_a_decoder_written_from_the_description_agrees(leaf: Leaf) -> None:
    assert [reference_decode(data) for data in codings(leaf)] == [leaf.symbols.tolist()] * len(codings(leaf))


@pytest.mark.parametrize(
    ("coder", "n", "evenness"), [("huffman", 200, 0.3), ("rans", 6000, 30), ("context", 90, 0.01)]
)
def test_each_coder_agrees_with_the_second_decoder_where_it_wins(coder: str, n: int, evenness: float) -> None:
    rng = np.random.default_rng(1)
    symbols = rng.choice(np.arange(-60, 60, dtype=np.int8), n, p=rng.dirichlet([evenness] * 120))
    data = encode_stream(Leaf("w", symbols, 8, signed=True))
    assert coder_name(data) == coder
    assert reference_decode(data) == symbols.tolist()


@given(leaves())
def test_a_stream_is_never_longer_than_packed_symbols_and_a_header(leaf: Leaf) -> None:
    assert len(encode_stream(leaf)) <= leaf.packed_bytes + 12


def test_real_layers_come_within_half_a_percent_of_their_entropy() -> None:
    misses = {}
    for name, leaf in real_leaves().items():
        n, alphabet = leaf.symbols.size, np.unique(leaf.symbols).size
        allowed = 1.005 * entropy_bytes(leaf.symbols) + 64 + (alphabet - 1) / 2 * np.log2(n) / 8
        if len(encode_stream(leaf)) > allowed:
            misses[name] = len(encode_stream(leaf)), allowed
    assert misses == {}


@pytest.mark.parametrize(("spread", "bits"), [(0.6, 2), (1.5, 4), (10.0, 8), (40.0, 8)])
def test_an_ideal_range_coder_without_its_table_is_less_than_a_percent_ahead(
    spread: float, bits: int
) -> None:
    require(importlib.util.find_spec("constriction"), "constriction")
    import constriction

    top = (1 << (bits - 1)) - 1
    values = np.clip(np.round(np.random.default_rng(0).normal(0, spread, 100_000)), -top, top).astype(
        np.int32
    )
    probabilities = np.bincount(values + top, minlength=2 * top + 1) / values.size
    model = constriction.stream.model.Categorical(np.maximum(probabilities, 1e-9), perfect=False)
    oracle = constriction.stream.queue.RangeEncoder()
    oracle.encode(values + top, model)
    ours = len(encode_stream(Leaf("w", values.astype(np.int8), bits, signed=True)))
    assert ours <= 1.01 * oracle.get_compressed().nbytes


@pytest.mark.parametrize("n", [1, 1000, 100_000])
def test_one_repeated_symbol_takes_six_bytes_at_most(n: int) -> None:
    data = encode_stream(Leaf("w", np.full(n, 5, np.int8), 8, signed=True))
    assert len(data) <= 6
    assert coder_name(data) == "constant"
    assert decode_stream(data).tolist() == [5] * n


def test_an_empty_leaf_takes_two_bytes() -> None:
    data = encode_stream(Leaf("w", np.zeros(0, np.int16), 16, signed=True))
    assert len(data) == 2
    assert decode_stream(data).dtype == np.int16


def test_all_different_16_bit_symbols_stay_packed() -> None:
    symbols = np.random.default_rng(0).permutation(65536).astype(np.uint16)
    data = encode_stream(Leaf("w", symbols, 16, signed=False))
    assert len(data) == 2 * 65536 + 6
    assert np.array_equal(decode_stream(data), symbols)


def test_a_smooth_32_bit_distribution_is_coded_near_its_density() -> None:
    symbols = np.round(np.random.default_rng(0).normal(0, 5000, 20_000)).astype(np.int32)
    density_bytes = symbols.size * np.log2(5000 * np.sqrt(2 * np.pi * np.e)) / 8
    assert len(encode_stream(Leaf("bias", symbols, 32, signed=True))) < 1.01 * density_bytes


def test_floats_rounded_to_bfloat16_are_stored_as_byte_planes() -> None:
    floats = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    words = floats.view(np.uint32) & np.uint32(0xFFFF0000)
    data = encode_stream(Leaf("w", words, 32, signed=False))
    assert coder_name(data) == "planes"
    assert len(data) < words.nbytes / 2
    assert np.array_equal(decode_stream(data), words)


def test_signed_symbols_of_odd_widths_keep_their_sign_in_byte_planes() -> None:
    symbols = 256 * np.random.default_rng(0).integers(-512, 512, 2000)
    data = encode_stream(Leaf("w", symbols, 18, signed=True))
    assert coder_name(data) == "planes"
    assert decode_stream(data).tolist() == symbols.tolist()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 9, 20, -1])
def test_a_shortened_stream_is_refused(size: int) -> None:
    symbols = np.clip(np.round(np.random.default_rng(1).normal(0, 9, 2000)), -127, 127).astype(np.int8)
    with pytest.raises(BadFile):
        decode_stream(encode_stream(Leaf("w", symbols, 8, signed=True))[:size])


def test_bytes_after_a_stream_are_refused() -> None:
    for n in (0, 1, 100, 5000):
        symbols = (np.random.default_rng(n).random(n) < 0.2).astype(np.uint8)
        with pytest.raises(BadFile):
            decode_stream(encode_stream(Leaf("w", symbols, 1, signed=False)) + b"\0")


def test_more_symbols_than_allowed_are_refused_before_memory_is_taken() -> None:
    data = bytes([7]) + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes([0, 0])
    with pytest.raises(BadFile, match="1000 bytes are allowed"):
        decode_stream(data, max_decoded_bytes=1000)


@given(st.binary(max_size=80), st.integers(0, 3), st.integers(1, 200))
@settings(max_examples=500)
def test_any_bytes_decode_or_are_refused(body: bytes, coder: int, count: int) -> None:
    data = bytes([coder << 6 | 7, count & 127, 0, 8]) + body
    try:
        symbols = decode_stream(data)
    except BadFile:
        return
    assert symbols.size == count & 127


@functools.cache
def sound_streams(kind: int) -> list[bytes]:
    n, spread, bits = [(60, 3, 8), (400, 9, 8), (3000, 9, 8), (500, 5000, 32)][kind]
    symbols = np.round(np.random.default_rng(kind).normal(0, spread, n)).astype(np.int32)
    return codings(Leaf("w", symbols, bits, signed=True))


@given(st.integers(0, 2**32), st.integers(0, 3))
@settings(max_examples=300)
def test_a_damaged_stream_decodes_to_as_many_symbols_or_is_refused(seed: int, kind: int) -> None:
    rng = np.random.default_rng(seed)
    for sound in sound_streams(kind):
        data = bytearray(sound)
        for at in rng.integers(len(data), size=3):
            data[at] ^= 1 << int(rng.integers(8))
        try:
            decoded = decode_stream(bytes(data), max_decoded_bytes=1 << 20)
        except BadFile:
            continue
        assert decoded.size == read_header(bytes(data)).count
