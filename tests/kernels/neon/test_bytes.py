"""Layers that multiply bytes, by the tests of every other instruction set, with and without dot products."""

from tests.kernels.test_candidates import (
    test_a_convolution_of_int8,
)
from tests.kernels.test_lowbit import (
    test_an_integer_product_is_exact,
    test_the_largest_integers_are_exact,
)
from tests.kernels.test_packed_linear import (
    test_extreme_sums_wrap_nowhere,
    test_few_bits_compute_the_same,
    test_without_empty_blocks_the_same_is_computed,
)
from tests.kernels.test_variants import (
    test_a_plan_says_what_runs_its_calls,
    test_convolution_of_many_channels,
    test_depthwise_convolution_of_many_channels,
    test_linear_of_many_rows_and_samples,
)
from tests.kernels.test_windows import (
    test_a_large_depthwise_window_equals_the_loop,
    test_an_accumulator_at_the_edge_of_32_bits_is_exact,
)

SETS = ("neon", "dotprod")

__all__ = [
    "SETS",
    "test_a_convolution_of_int8",
    "test_a_large_depthwise_window_equals_the_loop",
    "test_a_plan_says_what_runs_its_calls",
    "test_an_accumulator_at_the_edge_of_32_bits_is_exact",
    "test_an_integer_product_is_exact",
    "test_convolution_of_many_channels",
    "test_depthwise_convolution_of_many_channels",
    "test_extreme_sums_wrap_nowhere",
    "test_few_bits_compute_the_same",
    "test_linear_of_many_rows_and_samples",
    "test_the_largest_integers_are_exact",
    "test_without_empty_blocks_the_same_is_computed",
]
