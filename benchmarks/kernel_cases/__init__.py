"""The cases of `benchmarks/kernels.py`, a file a family: each has CASES, functions that set one case up."""
