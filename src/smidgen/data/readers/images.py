"""One image → float32 in 0..1, channels last. Nothing is resized or recoloured unless it was asked for."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.readers.media import Blob, check_size
from smidgen.data.readers.request import Request
from smidgen.data.rows import Inputs, Rows
from smidgen.errors import BadInput, MissingExtra, SmidgenError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 64_000_000  # of one image, from its header, before anything is decoded
CHANNELS = {"1": 1, "L": 1, "I;16": 1, "RGB": 3, "P": 3, "CMYK": 3, "YCbCr": 3}
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0}
REMEDY = "Add ?resize=HEIGHTxWIDTH to scale all images, ?channels=1 or 3 to convert colours"


@dataclass(frozen=True)
class ImageDecoder:
    """`size` (height, width) and `channels` convert; None: as the file has it."""

    size: tuple[int, int] | None = None
    channels: int | None = None

    @staticmethod
    def of(request: Request) -> ImageDecoder:
        """Raises BadInput for a number of channels other than 1 and 3."""
        channels = request.whole("channels")
        if channels not in (None, 1, 3):
            raise BadInput(str(request.path), f"channels={channels}", "1 (grey) or 3 (RGB) is needed")
        return ImageDecoder(request.size(), channels)

    def __call__(self, name: str, blob: Blob) -> npt.NDArray[np.float32]:
        """[H, W, C]. Raises BadInput: no image, a damaged, huge or transparent one."""
        array = self.pixels(name, blob)
        return (array / np.float32(FULL_SCALE[array.dtype.name])).astype(np.float32)

    def pixels(self, name: str, blob: Blob) -> npt.NDArray[Any]:
        """The same before scaling: uint8 or uint16."""
        check_size(name, blob)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a decompression bomb is only a warning there
                with _pillow().open(
                    blob if isinstance(blob, Path) else io.BytesIO(blob), formats=FORMATS
                ) as image:
                    _check(name, image, self.channels)
                    return self._converted(image)
        except SmidgenError:
            raise
        except Exception as problem:  # decoders of damaged files raise all kinds
            raise BadInput(
                name,
                f"it can't be read as an image ({type(problem).__name__}: {problem})",
                "",
                "Remove or replace it",
            ) from problem

    def _converted(self, image: Any) -> npt.NDArray[Any]:
        """Integers [H, W, C]."""
        channels = self.channels or CHANNELS[image.mode]
        if image.mode != "I;16":
            image = image.convert("L" if channels == 1 else "RGB")
        if self.size is not None and image.size != self.size[::-1]:
            image = image.resize(self.size[::-1], _pillow().Resampling.BILINEAR)
        array = np.asarray(image)
        return array.astype(array.dtype.newbyteorder("=")).reshape(*array.shape[:2], -1)


def _check(name: str, image: Any, channels: int | None) -> None:
    """What the header says, before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadInput(name, f"{width:,} × {height:,} pixels", f"at most {MAX_PIXELS:,} are read")
    transparent = "A" in image.mode or "transparency" in image.info
    if transparent and channels is None:
        raise BadInput(name, "it has transparency", "networks see none", "Add ?channels=3 to drop it")
    if image.mode not in CHANNELS and not transparent:
        raise BadInput(name, f"its colours are {image.mode}", "grey or RGB is needed", "Convert it")
    if image.mode == "I;16" and channels == 3:
        raise BadInput(name, "16 bits of grey", "channels=3 is for images of 8 bits", "Drop channels=3")


def channels_first(x: Inputs, request: Request) -> bool:
    """Whether images [n, H, W, C] are to become [n, C, H, W]: asked for, or what the network takes.

    Raises BadInput for a layout that is not known.
    """
    layout = request.options.get("layout")
    if layout not in (None, "hwc", "chw"):
        raise BadInput(str(request.path), f"layout={layout}", "hwc or chw is needed")
    height, width, channels = x.shape[1:]
    if layout is None and request.shape is not None:
        return request.shape == (channels, height, width) != (height, width, channels)
    return layout == "chw"


def with_channels_first(x: Inputs) -> Inputs:
    """[n, H, W, C] -> [n, C, H, W]."""
    if isinstance(x, Rows):
        return x.changed(lambda image: np.moveaxis(image, -1, 0))
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as missing:
        raise MissingExtra("reading images", "pillow", "data") from missing
    return Image
