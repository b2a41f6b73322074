"""One reader a kind of file or folder; `find_reader` tells which from what the path is."""

from smidgen.data.readers.find import Reader, find_reader

__all__ = ["Reader", "find_reader"]
