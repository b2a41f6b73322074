import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.measurement import Measurement
from smidgen.search.budget import Budget


def measured(**values):
    return {name: Measurement(name, value, "", "measured") for name, value in values.items()}


def test_all_limits_are_read():
    budget = Budget.parse("flash=64KB, ram=48KB,latency=10ms,file=20KB,energy=5nJ")
    assert budget == Budget(
        flash_bytes=65536, ram_bytes=49152, file_bytes=20480, latency_ms=10.0, energy_uj=5e-3
    )


def test_an_empty_budget_allows_everything():
    assert Budget.parse("").fits(measured(flash_bytes=1e12)) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("flsh=64KB", "'flsh=64KB' is no limit.*limits are flash, ram, file, latency, energy"),
        ("flash", "is no limit"),
        ("flash=0", "nothing can fit"),
        ("flash=0.2", "nothing can fit"),
        ("ram=-4KB", "budget ram: '-4KB' is not a size"),
        ("latency=10", "is not a time"),
        ("flash=1KB,flash=2KB", "given twice"),
    ],
)
def test_a_wrong_budget_is_refused(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        Budget.parse(text)


def test_reasons_name_what_was_found_and_what_is_allowed():
    reasons = Budget.parse("flash=64KB,ram=48KB").fits(measured(flash_bytes=70000, ram_bytes=100))
    assert reasons == ["flash is 68.4 KB (70,000 bytes), the budget allows 64 KB (65,536 bytes)"]


def test_a_limit_that_was_not_measured_does_not_fit():
    assert Budget.parse("latency=1ms").fits({}) == ["latency was not measured, but the budget limits it"]


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_candidate_fits_exactly_up_to_the_limit(limit, used):
    budget = Budget(ram_bytes=limit)
    assert (budget.fits(measured(ram_bytes=used)) == []) == (used <= limit)
    assert (budget.excess(measured(ram_bytes=used)) == 0) == (used <= limit)


def test_a_target_fills_in_only_what_the_user_left_open():
    assert Budget(flash_bytes=5).within(flash_bytes=9, ram_bytes=7) == Budget(flash_bytes=5, ram_bytes=7)
