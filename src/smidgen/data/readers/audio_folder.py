"""Recordings in class folders."""

from __future__ import annotations

import numpy as np

from smidgen.data.readers.class_folders import list_classes
from smidgen.data.readers.media import rows_of
from smidgen.data.readers.recordings import REMEDY, AudioDecoder, shaped
from smidgen.data.readers.request import Found, Request

SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif")


def read(request: Request) -> Found:
    """`x` float32 [n, T, 1] in -1..1 ([n, T] or [n, 1, T] where the network takes that), `y` by folder.

    Raises BadInput. MissingExtra: soundfile is not installed.
    """
    request.allow("samples", "channels")
    root, decode = request.path, AudioDecoder.of(request)
    listing, arrays = list_classes(root, SUFFIXES), {}
    for part, files in listing.files.items():
        end = f"_{part}" if part else ""
        x = rows_of(files, decode, str(root), REMEDY)
        arrays[f"x{end}"] = shaped(x, request)
        arrays[f"y{end}"] = np.array(listing.labels[part], np.int64)
    count, classes = sum(map(len, listing.files.values())), len(listing.names)
    length = x.shape[1]
    notes = (
        f"{count} recordings of {length} samples at {decode.rate} Hz, {classes} classes, named by folder",
    )
    return Found(arrays, listing.names, notes)
