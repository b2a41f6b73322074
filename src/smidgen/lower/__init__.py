"""Float graph -> integer graph -> scheduled program."""

from smidgen.lower.lowering import artifact_class, lower

__all__ = ["artifact_class", "lower"]
