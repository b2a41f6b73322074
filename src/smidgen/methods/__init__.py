"""Techniques: one file each, found by path (`quantize.affine`), independent of each other."""

from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Stage, Step

__all__ = ["Context", "Recipe", "Stage", "Step"]
