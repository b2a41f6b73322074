"""The simulated cache against one that scans a list of ages, and what must hold of any cache."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cache import LINE_BYTES, Access, Cache

accesses = st.lists(st.builds(Access, st.integers(0, 4000), st.integers(1, 300), st.booleans()), max_size=80)
caches = st.tuples(st.integers(1, 5), st.integers(1, 4))  # sets, ways


def of(sets: int, ways: int) -> Cache:
    return Cache(sets * ways * LINE_BYTES, ways)


def by_age(sets: int, ways: int, trace: list[Access]) -> tuple[int, int]:
    """(lines fetched, lines written back): a byte at a time, with the moment of each line's last use."""
    last: dict[int, int] = {}
    dirty: set[int] = set()
    fetched = written = now = 0
    for address, nbytes, write in trace:
        for byte in range(address, address + nbytes):
            now += 1
            line = byte // LINE_BYTES
            if line not in last:
                fetched += 1
                rivals = [other for other in last if other % sets == line % sets]
                if len(rivals) == ways:
                    oldest = min(rivals, key=last.__getitem__)
                    del last[oldest]
                    written += oldest in dirty
                    dirty.discard(oldest)
            last[line] = now
            if write:
                dirty.add(line)
    return fetched, written + len(dirty)


@given(caches, accesses)
def test_traffic_equals_that_of_ages(shape, trace) -> None:
    found = of(*shape).traffic(trace)
    fetched, written = by_age(*shape, trace)
    assert (found.read_bytes, found.written_bytes) == (fetched * LINE_BYTES, written * LINE_BYTES)


@given(caches, accesses)
def test_a_cache_that_holds_everything_fetches_each_line_once(shape, trace) -> None:
    found = of(100, 1).traffic(trace)
    small = of(*shape).traffic(trace)
    assert found.read_bytes == found.working_set_bytes == small.working_set_bytes <= small.read_bytes


@given(st.integers(1, 4), accesses)
def test_more_ways_never_miss_more(ways, trace) -> None:
    """LRU has the inclusion property: a set with more ways holds all that one with fewer does."""
    assert of(3, ways + 1).traffic(trace).misses <= of(3, ways).traffic(trace).misses


def test_a_cyclic_sweep_beyond_the_cache_never_hits_and_a_serpentine_one_does() -> None:
    lines = [Access(line * LINE_BYTES, LINE_BYTES, False) for line in range(8)]
    cache = of(1, 4)
    assert cache.traffic(lines * 4).hits == 0
    assert cache.traffic((lines + lines[::-1]) * 2).hits == 3 * 4


@pytest.mark.parametrize("shape", [(100, 1), (0, 1), (64, 0), (192, 2)])
def test_a_cache_of_parts_of_sets_is_refused(shape) -> None:
    with pytest.raises(ValueError, match="whole number of sets"):
        Cache(*shape)
