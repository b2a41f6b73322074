"""The counter of basic blocks: how instructions are told apart, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.kernels import native

THUMB, RISCV, FIXED = 0, 1, 2
BASE, CODE_BYTES = 0x1000, 0x100
RUN, KERNEL, HELPER, MAIN = 0x1000, 0x1040, 0x1060, 0x1080


def counter(code: bytes = bytes(CODE_BYTES), encoding: int = FIXED, most_calls: int = 8):
    return native().BlockCounter(code, BASE, encoding, RUN, KERNEL, [KERNEL], most_calls)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_long_and_short_thumb_instructions_are_told_apart(long: list[bool]) -> None:
    code = b"".join(b"\x00\xf0\x00\xf0" if wide else b"\x00\xbf" for wide in long)
    found = counter(code.ljust(CODE_BYTES, b"\0"), THUMB)
    found.enter(BASE, len(code))
    assert found.total == len(long)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_long_and_short_riscv_instructions_are_told_apart(long: list[bool]) -> None:
    code = b"".join(b"\x13\x00\x00\x00" if wide else b"\x01\x00" for wide in long)
    found = counter(code.ljust(CODE_BYTES, b"\0"), RISCV)
    found.enter(BASE, len(code))
    assert found.total == len(long)


def walk(found, blocks: Sequence[tuple[int, int]]):
    for address, instructions in blocks:
        found.enter(address, 4 * instructions)
    return found


def test_a_call_has_its_setting_up_and_all_until_it_returns() -> None:
    found = walk(
        counter(), [(MAIN, 2), (RUN, 3), (KERNEL, 5), (HELPER, 7), (KERNEL + 8, 1), (RUN + 8, 2), (MAIN, 1)]
    )
    assert found.calls() == [(KERNEL, 3 + 5 + 7 + 1)]
    assert found.total == 21


def test_a_kernel_that_another_one_calls_is_no_call_of_its_own() -> None:
    found = walk(counter(), [(RUN, 1), (KERNEL, 1), (KERNEL, 1), (RUN + 4, 1), (KERNEL, 4)])
    assert [count for _, count in found.calls()] == [3, 5]


def test_calls_beyond_the_room_are_counted_and_not_kept() -> None:
    found = walk(counter(most_calls=1), [(RUN, 1), (KERNEL, 1)] * 3)
    assert (found.made, len(found.calls()), found.total) == (3, 1, 6)


@pytest.mark.parametrize(
    ("address", "nbytes"), [(BASE - 4, 4), (BASE + CODE_BYTES, 4), (BASE, CODE_BYTES + 4), (0, 4)]
)
def test_blocks_outside_the_code_are_only_noted(address: int, nbytes: int) -> None:
    found = counter()
    found.enter(address, nbytes)
    assert (found.outside, found.total) == (1, 0)


def test_clear_forgets_everything() -> None:
    found = walk(counter(), [(RUN, 1), (KERNEL, 1)])
    found.clear()
    assert (found.total, found.made, found.calls(), found.executed()) == (0, 0, [], {})


@pytest.mark.parametrize("kernel", [BASE - 2, BASE + CODE_BYTES])
def test_a_kernel_outside_the_code_is_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match="outside the code"):
        native().BlockCounter(bytes(CODE_BYTES), BASE, FIXED, RUN, KERNEL, [kernel], 1)
