"""Architectures as graphs with fresh weights: `<module>.build(input_shape, classes, width, seed)`."""
