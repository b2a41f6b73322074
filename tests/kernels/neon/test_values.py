"""Everything else on integers, by the tests of every other instruction set."""

from tests.kernels.test_bits import (
    test_binarizing_compares_each_channel_with_its_threshold,
    test_linear_layers_of_bits_equal_the_sum_of_signs,
)
from tests.kernels.test_candidates import (
    test_a_convolution_of_bits_to_bits,
    test_a_convolution_of_bits_to_int8,
)
from tests.kernels.test_elementwise import (
    test_a_table_maps_all_256_values,
    test_addition_of_the_largest_terms_is_exact_at_every_shift,
    test_exact_halves_round_up_on_both_sides_of_zero,
    test_requantization_equals_the_loop,
)
from tests.kernels.test_normalize import (
    test_the_largest_group_is_exact,
)
from tests.kernels.test_packs import (
    test_a_convolution_to_bits_compares_the_sum_of_kept_signs,
    test_a_convolution_to_int8_equals_the_sum_of_kept_signs,
)
from tests.kernels.test_serial import (
    test_a_convolution_to_int8_equals_the_sum_of_products,
    test_a_convolution_to_planes_rounds_exact_fractions,
)
from tests.kernels.test_variants import (
    test_copies_of_many_runs,
    test_element_wise_operators_of_long_rows,
    test_every_share_of_a_small_sum_is_exact,
    test_normalization_of_long_rows,
    test_softmax_of_long_rows,
    test_tables_of_many_values_and_the_steepest_lines,
    test_wide_products_of_long_rows,
    test_wide_sums_of_long_rows,
)
from tests.kernels.test_wide import test_requantization_equals_the_loop as test_wide_requantization
from tests.kernels.test_windows import (
    test_average_pool_equals_the_loop,
    test_max_pool_equals_the_loop,
    test_mean_over_any_axes_equals_the_loop,
)

SETS = ("neon",)

__all__ = [
    "SETS",
    "test_a_convolution_of_bits_to_bits",
    "test_a_convolution_of_bits_to_int8",
    "test_a_convolution_to_bits_compares_the_sum_of_kept_signs",
    "test_a_convolution_to_int8_equals_the_sum_of_kept_signs",
    "test_a_convolution_to_int8_equals_the_sum_of_products",
    "test_a_convolution_to_planes_rounds_exact_fractions",
    "test_a_table_maps_all_256_values",
    "test_addition_of_the_largest_terms_is_exact_at_every_shift",
    "test_average_pool_equals_the_loop",
    "test_binarizing_compares_each_channel_with_its_threshold",
    "test_copies_of_many_runs",
    "test_element_wise_operators_of_long_rows",
    "test_every_share_of_a_small_sum_is_exact",
    "test_exact_halves_round_up_on_both_sides_of_zero",
    "test_linear_layers_of_bits_equal_the_sum_of_signs",
    "test_max_pool_equals_the_loop",
    "test_mean_over_any_axes_equals_the_loop",
    "test_normalization_of_long_rows",
    "test_requantization_equals_the_loop",
    "test_softmax_of_long_rows",
    "test_tables_of_many_values_and_the_steepest_lines",
    "test_the_largest_group_is_exact",
    "test_wide_products_of_long_rows",
    "test_wide_requantization",
    "test_wide_sums_of_long_rows",
]
