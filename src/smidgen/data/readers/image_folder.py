"""Images in class folders."""

from __future__ import annotations

import numpy as np

from smidgen.data.readers.class_folders import list_classes
from smidgen.data.readers.images import REMEDY, ImageDecoder, channels_first, with_channels_first
from smidgen.data.readers.media import rows_of
from smidgen.data.readers.request import Found, Request

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def read(request: Request) -> Found:
    """`x` float32 [n, H, W, C] in 0..1 ([n, C, H, W] where the network takes that), `y` by folder.

    Many images become rows that are decoded when they are needed.

    Raises BadInput. MissingExtra: Pillow is not installed.
    """
    request.allow("resize", "channels", "layout")
    root, decode = request.path, ImageDecoder.of(request)
    listing, arrays = list_classes(root, SUFFIXES), {}
    layout = "hwc"
    for part, files in listing.files.items():
        end = f"_{part}" if part else ""
        x = rows_of(files, decode, str(root), REMEDY)
        if channels_first(x, request):
            layout, x = "chw", with_channels_first(x)
        arrays[f"x{end}"] = x
        arrays[f"y{end}"] = np.array(listing.labels[part], np.int64)
    count = sum(map(len, listing.files.values()))
    shape = "×".join(map(str, next(iter(arrays.values())).shape[1:]))
    notes = (f"{count} images {shape} ({layout}, 0 to 1) of {len(listing.names)} classes, named by folder",)
    return Found(arrays, listing.names, notes)
