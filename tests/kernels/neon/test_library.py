"""The kernel library, by the tests of every other instruction set."""

from tests.kernels.test_convolution import (
    test_a_convolution_stays_within_its_tolerance,
    test_a_depthwise_convolution_stays_within_its_tolerance,
    test_clamping_is_exact,
    test_what_is_no_number_stays_none,
)
from tests.kernels.test_hamming import (
    test_more_codes_than_a_cache_holds_are_searched_exactly,
    test_the_nearest_codes_come_in_order,
)
from tests.kernels.test_lowbit import (
    test_a_float_product_stays_within_its_tolerance,
)
from tests.kernels.test_sparse import (
    test_a_sparse_product_equals_the_dense_one,
    test_empty_blocks_are_not_read,
)
from tests.kernels.test_structured import (
    test_a_normalised_transform_is_its_own_inverse,
    test_dense,
    test_hadamard,
    test_hmd,
    test_kronecker,
    test_low_rank,
)
from tests.kernels.test_winograd import (
    test_a_fast_convolution_is_close_to_the_direct_one,
)

SETS = ("neon",)

__all__ = [
    "SETS",
    "test_a_convolution_stays_within_its_tolerance",
    "test_a_depthwise_convolution_stays_within_its_tolerance",
    "test_a_fast_convolution_is_close_to_the_direct_one",
    "test_a_float_product_stays_within_its_tolerance",
    "test_a_normalised_transform_is_its_own_inverse",
    "test_a_sparse_product_equals_the_dense_one",
    "test_clamping_is_exact",
    "test_dense",
    "test_empty_blocks_are_not_read",
    "test_hadamard",
    "test_hmd",
    "test_kronecker",
    "test_low_rank",
    "test_more_codes_than_a_cache_holds_are_searched_exactly",
    "test_the_nearest_codes_come_in_order",
    "test_what_is_no_number_stays_none",
]
