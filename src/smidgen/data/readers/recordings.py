"""One recording → float32 in -1..1, mono, [T, 1]. Nothing is resampled, cut or mixed unless asked for."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.readers.media import Blob, check_size
from smidgen.data.readers.request import Request
from smidgen.data.rows import Inputs, Rows
from smidgen.errors import BadInput, MissingExtra, SmidgenError

MAX_FRAMES = 60_000_000  # of one recording, from its header: twenty minutes at 48 kHz
REMEDY = "Add ?samples=N to cut or zero-pad every recording to N samples"


class AudioDecoder:
    """`samples` cuts or zero-pads at the end; `mono` averages channels. Remembers the sample rate."""

    def __init__(self, samples: int | None = None, mono: bool = False) -> None:
        self.samples, self.mono = samples, mono
        self.rate, self._first = 0, ""

    @staticmethod
    def of(request: Request) -> AudioDecoder:
        """Raises BadInput for a length or number of channels that can't be."""
        channels = request.whole("channels")
        if channels not in (None, 1):
            raise BadInput(str(request.path), f"channels={channels}", "recordings become mono: channels=1")
        return AudioDecoder(request.whole("samples"), mono=channels == 1)

    def __call__(self, name: str, blob: Blob) -> npt.NDArray[np.float32]:
        """[T, 1]. Raises BadInput: no recording, a damaged or too long one, stereo, another sample rate."""
        check_size(name, blob)
        soundfile = _soundfile()
        try:
            with soundfile.SoundFile(str(blob) if isinstance(blob, Path) else io.BytesIO(blob)) as file:
                self._check(name, file)
                limit = min(self.samples or file.frames, file.frames)
                frames = file.read(limit, dtype="float32", always_2d=True)
        except SmidgenError:
            raise
        except Exception as problem:  # decoders of damaged files raise all kinds
            raise BadInput(
                name, f"it can't be read as a recording ({problem})", "", "Remove or replace it"
            ) from problem
        if len(frames) < limit or not np.isfinite(frames).all():
            raise BadInput(
                name, f"{len(frames)} sound samples of {limit}", "all are needed, finite", "Replace it"
            )
        mono: npt.NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)[:, None]
        return mono if self.samples is None else np.pad(mono, ((0, self.samples - len(mono)), (0, 0)))

    def _check(self, name: str, file: Any) -> None:
        """What the header says, before any sample is decoded."""
        if not 0 < file.frames <= MAX_FRAMES:
            raise BadInput(name, f"{file.frames:,} samples long", f"1 to {MAX_FRAMES:,} are read")
        if file.channels > 1 and not self.mono:
            raise BadInput(
                name, f"{file.channels} channels", "mono is needed", "Add ?channels=1 to average them"
            )
        if not self.rate:
            self.rate, self._first = file.samplerate, name
        elif file.samplerate != self.rate:
            found = f"its sample rate is {file.samplerate} Hz, {self._first} {self.rate} Hz"
            raise BadInput(name, found, "all must have one rate", "Resample the recordings first")


def shaped(x: Inputs, request: Request) -> Inputs:
    """[n, T, 1], or [n, T] or [n, 1, T] where the network takes that."""
    length = x.shape[1]
    plain = ((length,), (1, length), (1, length, 1), (1, 1, length))
    wanted = request.shape
    if wanted is None or wanted not in plain:
        return x
    return x.changed(lambda sound: sound.reshape(wanted)) if isinstance(x, Rows) else x.reshape(-1, *wanted)


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as missing:  # OSError: libsndfile itself is not there
        raise MissingExtra("reading recordings", "soundfile", "data") from missing
    return soundfile
