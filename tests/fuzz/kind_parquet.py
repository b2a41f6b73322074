"""Parquet: bytes of pages and of the footer, with numbers and images, by several codecs."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smidgen.data import load_user_data
from tests.data.readers.media_files import png
from tests.fuzz.mutations import damaged

SUFFIX = ".parquet"
ROWS = 24


@functools.cache
def sound() -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    labels = [i % 2 for i in range(ROWS)]
    numbers = pa.table(
        {"a": rng.normal(size=ROWS), "b": np.arange(ROWS, dtype=np.int32) % 3, "label": labels}
    )
    texts = pa.table({"a": rng.normal(size=ROWS), "label": ["yes" if i else "no" for i in labels]})
    images = pa.table(
        {"image": [{"bytes": png((4, 4, 3), seed=i)[0], "path": None} for i in range(ROWS)], "label": labels}
    )
    files = [
        _written(numbers, compression=codec) for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli")
    ]
    files.append(_written(numbers, use_dictionary=False, row_group_size=7, data_page_version="2.0"))
    files.append(_written(numbers, use_dictionary=False, column_encoding={"a": "BYTE_STREAM_SPLIT"}))
    files.append(
        _written(numbers.select(["b", "label"]), use_dictionary=False, column_encoding="DELTA_BINARY_PACKED")
    )
    return (*files, _written(texts), _written(images), _written(images, compression="none", row_group_size=5))


def _written(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def case(rng: Random) -> bytes:
    data = rng.choice(sound())
    kind = rng.randrange(3)
    if kind == 0:
        return damaged(data, rng, rng.choice(sound()))
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if kind == 1:
        footer = damaged(data[start:-8], rng)
        return data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    pages = bytearray(data[:start])
    for _ in range(rng.choice((1, 1, 2, 4))):
        pages[rng.randrange(4, len(pages))] = rng.choice((0, 0xFF, 0x80, 0x7F, rng.randrange(256)))
    return bytes(pages) + data[start:]


def use(path: Path) -> None:
    splits = load_user_data(str(path))
    assert np.isfinite(splits.train.x).all()
