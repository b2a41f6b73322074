from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.frequencies import RANS_TOTAL, bit_lengths, huffman_lengths, normalise, shorten
from smidgen.codec.intervals import EMPTY_BITS, Tree
from smidgen.codec.tables import best_tables
from smidgen.codec.varint import read_varint, unzigzag, write_varint, zigzag
from smidgen.errors import BadFile
from smidgen.kernels import native

counts = st.lists(st.integers(1, 1000), min_size=2, max_size=40).map(lambda c: np.array(c, np.int64))
few_counts = st.lists(st.integers(1, 60), min_size=2, max_size=4).map(lambda c: np.array(c, np.int64))


def code_length(weights: np.ndarray, frequencies: np.ndarray) -> float:
    return float(-weights @ np.log2(frequencies / frequencies.sum()))


@given(few_counts)
def test_no_table_of_sixteen_parts_codes_shorter(weights: np.ndarray) -> None:
    tables = (t for t in itertools.product(range(1, 16), repeat=weights.size) if sum(t) == 16)
    best = min(code_length(weights, np.array(t)) for t in tables)
    assert code_length(weights, normalise(weights, 16)) == pytest.approx(best)


@given(counts)
def test_normalised_frequencies_are_positive_and_sum_to_the_total(weights: np.ndarray) -> None:
    f = normalise(weights)
    assert f.min() >= 1
    assert f.sum() == RANS_TOTAL


def test_as_many_symbols_as_slots_get_one_each() -> None:
    assert normalise(np.arange(1, 4097)).tolist() == [1] * 4096


@given(counts, st.integers(0, 11))
def test_shortened_frequencies_keep_their_sum_and_their_precision(weights: np.ndarray, mantissa: int) -> None:
    found = shorten(normalise(weights), mantissa)
    if found is None:
        assert mantissa < 11
        return
    f, levels = found
    others = np.arange(f.size) != np.argmax(levels)
    assert f.sum() == RANS_TOTAL
    assert np.array_equal(bit_lengths(f[others]), levels[others])
    dropped = np.maximum(levels[others].astype(int) - 1 - mantissa, 0)
    assert not np.any(f[others] & ((1 << dropped) - 1))


def optimal_total(weights: np.ndarray) -> int:
    """Total bits of an unlimited Huffman code, by the textbook heap."""
    heap, total = [int(w) for w in weights], 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


@given(counts)
def test_huffman_lengths_are_optimal_and_complete(weights: np.ndarray) -> None:
    lengths = huffman_lengths(weights, longest=40)
    assert weights @ lengths == optimal_total(weights)
    assert sum(2.0**-length for length in lengths) == 1.0


@given(st.lists(st.integers(1, 500), min_size=5, max_size=6).map(lambda c: np.array(c, np.int64)))
@settings(max_examples=30)
def test_no_complete_code_of_limited_length_is_shorter(weights: np.ndarray) -> None:
    limited = (
        lengths
        for lengths in itertools.product(range(1, 4), repeat=weights.size)
        if sum(2.0**-length for length in lengths) <= 1.0
    )
    assert weights @ huffman_lengths(weights, longest=3) == min(weights @ np.array(c) for c in limited)


def test_a_skewed_code_stays_within_fifteen_bits() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 40:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    assert huffman_lengths(np.array(fibonacci)).max() == 15


def all_partitions(base: int, size: int) -> Iterator[list[tuple[int, int]]]:
    yield [(base, size)]
    if size:
        for left in all_partitions(base, size - 1):
            for right in all_partitions(base + (1 << (size - 1)), size - 1):
                yield left + right


def estimated_bits(values: np.ndarray, tokens: list[tuple[int, int]], width: int, token_bits: float) -> float:
    """Leaves' bits, and one for each decision in the tree (all nodes but those of a single value)."""
    n, total = values.sum(), 0.0
    for base, size in tokens:
        count = values[base : base + (1 << size)].sum()
        share = max(count / n, 1 / 4096)
        waste = (n * share - count) * np.log2(np.e)
        total += count * (size - np.log2(share)) + waste + token_bits if count else EMPTY_BITS
    single = sum(size == 0 for _, size in tokens)
    return total + (2 * len(tokens) - 1) - single


@given(
    st.lists(st.sampled_from([0, 0, 1, 2, 9, 50, 4000]), min_size=8, max_size=8).filter(any),
    st.floats(0.5, 9.0),
)
@settings(max_examples=40)
def test_no_partition_into_dyadic_intervals_is_cheaper(values: list[int], token_bits: float) -> None:
    weights = np.array(values, np.int64)
    values_of_counts = np.repeat(np.arange(8, dtype=np.uint32), weights)
    tokens = Tree.of(values_of_counts, 3).partition(token_bits)
    found = estimated_bits(weights, list(zip(tokens.base.tolist(), tokens.extra.tolist())), 3, token_bits)
    best = min(estimated_bits(weights, tiles, 3, token_bits) for tiles in all_partitions(0, 3))
    assert found == pytest.approx(best)


@given(st.lists(st.integers(0, 255), min_size=2, max_size=300))
def test_intervals_tile_the_range_and_count_every_value(values: list[int]) -> None:
    array = np.array(values, np.uint32)
    tokens = Tree.of(array, 8).partition(3.0)
    ends = tokens.base.astype(int) + (1 << tokens.extra.astype(int))
    assert tokens.base[0] == 0
    assert ends.tolist() == [*tokens.base[1:].tolist(), 256]
    inside = [int(((array >= b) & (array < e)).sum()) for b, e in zip(tokens.base.astype(int), ends)]
    assert tokens.counts.tolist() == inside


def test_the_predicted_length_of_a_table_is_the_encoded_length() -> None:
    values = np.random.default_rng(0).binomial(40, 0.3, 5000).astype(np.uint32)
    for table in best_tables(values, 6):
        assert abs(len(table.encode(values)) - table.bits / 8) <= 2


def test_the_encoder_refuses_values_that_have_no_token() -> None:
    values = np.array([0, 1, 1, 3], np.uint32)
    table = best_tables(values, 2)[0]
    with pytest.raises(ValueError, match="no token"):
        table.encode(np.array([0, 9], np.uint32))


def test_a_table_whose_frequencies_do_not_fill_4096_is_refused() -> None:
    tokens = Tree.of(np.array([0, 1], np.uint32), 1).uniform()
    levels, weights = np.ones(2, np.uint8), np.ones(2, np.uint16)
    with pytest.raises(ValueError, match="4096"):
        native().TokenTable(tokens.base, tokens.extra, levels, weights, 1, 3)


@given(st.integers(0, 2**63 - 1))
def test_varints_round_trip(value: int) -> None:
    data = write_varint(value)
    assert read_varint(data, 0, "test") == (value, len(data))


@given(st.integers(-(2**40), 2**40))
def test_zigzag_round_trips_and_keeps_small_numbers_small(value: int) -> None:
    assert unzigzag(zigzag(value)) == value
    assert zigzag(value) <= 2 * abs(value)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9])
def test_a_varint_that_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(BadFile):
        read_varint(data, 0, "test")


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.integers(0, 32))
def test_bit_packing_is_the_concatenation_of_binary_numbers(values: list[int], width: int) -> None:
    masked = [value & ((1 << width) - 1) for value in values]
    text = "".join(f"{value:0{width}b}" for value in masked) if width else ""
    padded = text + "0" * (-len(text) % 8)
    expected = bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))
    packed = native().pack_bits(np.array(masked, np.uint32), width)
    out = np.zeros(len(values), np.uint32)
    assert packed == expected
    assert native().unpack_bits(packed, width, 0, out) == 0
    assert out.tolist() == masked
