"""`.npz`: bytes of the archive, and of arrays and their headers with the archive's checksums made right."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from random import Random

import numpy as np

from smidgen.data import load_user_data
from tests.fuzz.mutations import damaged

SUFFIX = ".npz"
ROWS = 24
HEADERS = (
    "(1099511627776,)",
    "(-1,)",
    "(2, 1099511627776)",
    "()",
    "(0,)",
    "(24, 3",
    "(24, 3.0)",
    "('a',)",
    "(True, 3)",
    "None",
    "(" * 400,
    "[24, 3]",
    "(9999999999999999999999,)",
    "(24,3,0)",
    "(24, 3), 'x': 1",
    "(1,) * 10**9",
)
TYPES = (
    "|O",
    "<f8",
    ">f4",
    "<U5",
    "|V0",
    "<M8[s]",
    "|S0",
    "<c8",
    "<f2",
    "|b1",
    "<i8",
    "|V16",
    "<f99",
    "('<f4', (9,))",
    "[('a', '<f4')]",
    "{}",
)


@functools.cache
def arrays() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    made = {
        "x": rng.normal(size=(ROWS, 3)).astype(np.float32),
        "y": np.arange(ROWS) % 3,
        "groups": np.arange(ROWS) // 2,
    }
    return {name: _npy(array) for name, array in made.items()}


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _zip(members: dict[str, bytes], packing: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def case(rng: Random) -> bytes:
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    members = dict(arrays())
    name = rng.choice(list(members))
    kind = rng.randrange(4)
    if kind == 0:
        return damaged(_zip(members, packing), rng)
    if kind == 1:
        members[name] = damaged(members[name], rng, rng.choice(list(members.values())))
    elif kind == 2:
        members[name] = _with_header(members[name], rng)
    else:
        whole = bytearray(_zip(members, packing))
        directory = whole.rfind(b"PK\x01\x02")
        at = directory + rng.randrange(6, 46)
        size = rng.choice((1, 2, 4))
        whole[at : at + size] = rng.choice((b"\xff" * size, b"\0" * size, rng.randbytes(size)))
        return bytes(whole)
    return _zip(members, packing)


def _with_header(npy: bytes, rng: Random) -> bytes:
    """With another shape or type in the header, its length made right (or not)."""
    length = int.from_bytes(npy[8:10], "little")
    header, data = npy[10 : 10 + length].decode(), npy[10 + length :]
    if rng.random() < 0.5:
        start = header.index("'shape': ") + len("'shape': ")
        header = header[:start] + rng.choice(HEADERS) + header[header.index("}", start) :]
    else:
        start = header.index("'descr': ") + len("'descr': ")
        kind = rng.choice(TYPES)
        shown = kind if kind[:1] in "([{" else f"'{kind}'"
        header = header[:start] + shown + header[header.index(", 'fortran", start) :]
    if rng.random() < 0.2:
        header = header.replace("False", rng.choice(("True", "1", "None")))
    encoded = header.encode()
    return npy[:8] + len(encoded).to_bytes(2, "little") + encoded + data


def use(path: Path) -> None:
    splits = load_user_data(str(path))
    assert np.isfinite(splits.train.x).all()
