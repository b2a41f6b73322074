"""Where plans find their instruction set; see `smidgen.kernels.isa`."""

from smidgen.kernels.isa import VARIABLE, chosen_isa

__all__ = ["VARIABLE", "chosen_isa"]
