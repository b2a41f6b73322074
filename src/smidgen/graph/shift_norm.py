"""ShiftNorm: a normalization whose factor is a power of two, so that integers only have to be shifted."""

from __future__ import annotations

from smidgen.numerics import Array, FloatArray, power_of_two


def shift_factor(variance: Array, epsilon: float, extra_scale: float) -> FloatArray:
    """AP2(1 / (extra_scale * sqrt(variance + epsilon))) a channel: y = (x - mean) * factor.

    AP2(v) is the power of two nearest to v on a logarithmic scale. There is no gain and no offset: an
    activation of few bits follows, and the weights behind it learn what those would have done.
    Ref: Fromm et al. 2020 (Riptide, MLSys), section 3.
    """
    return power_of_two(1 / (extra_scale * (variance.astype("float64") + epsilon) ** 0.5))
