"""Data sets, splits, files of public data sets, readers of the user's own data."""

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.split import split
from smidgen.data.user import load_user_data

__all__ = ["Dataset", "Splits", "load_user_data", "split"]
