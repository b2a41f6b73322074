"""How one weight tensor is represented, and how a number is. Lowest room but for errors and numerics."""

from smidgen.formats.affine import Affine
from smidgen.formats.base import Format, IntegerWeights, Leaf, from_parts, to_parts
from smidgen.formats.binary import Binary
from smidgen.formats.binarypacks import BinaryPacks
from smidgen.formats.codebook import Codebook
from smidgen.formats.dense import Dense
from smidgen.formats.grid import Grid
from smidgen.formats.half import Half
from smidgen.formats.imported import Imported
from smidgen.formats.integer import Integer
from smidgen.formats.lowrank import LowRank
from smidgen.formats.sparse import Sparse
from smidgen.formats.ternary import Ternary

__all__ = [
    "Affine",
    "Binary",
    "BinaryPacks",
    "Codebook",
    "Dense",
    "Format",
    "Grid",
    "Half",
    "Imported",
    "Integer",
    "IntegerWeights",
    "Leaf",
    "LowRank",
    "Sparse",
    "Ternary",
    "from_parts",
    "to_parts",
]
