"""Small images and recordings, encoded."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from PIL import Image


def png(shape: tuple[int, ...] = (8, 6, 3), seed: int = 0, form: str = "PNG") -> tuple[bytes, np.ndarray]:
    """(bytes, uint8 pixels [H, W, C] or [H, W])."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue(), pixels


def wav(length: int = 100, rate: int = 8000, channels: int = 1, seed: int = 0, form: str = "WAV") -> bytes:
    sound = np.random.default_rng(seed).integers(-30000, 30000, (length, channels)).astype(np.int16)
    stream = io.BytesIO()
    soundfile.write(stream, sound, rate, format=form, subtype="PCM_16")
    return stream.getvalue()
