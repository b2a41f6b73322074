"""The tests of integer kernels once more, on an emulated AArch64 processor."""

from tests.kernels.test_variants import *
