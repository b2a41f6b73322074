"""The sizes that a Parquet file declares, added up before anything is unpacked.

What the footer says are claims; pyarrow allocates what each page's own header says, so that a small file
could take any amount of memory. Both are read here, as pyarrow's view of damaged columns can end the process.
Ref: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from smidgen.data.readers.thrift import NotThrift, Reader, Struct
from smidgen.errors import BadInput
from smidgen.limits import LIMIT, decoded_bytes_limit
from smidgen.units import format_bytes

MAGIC = b"PAR1"
MOST_FOOTER_BYTES = 8 << 20
MOST_HEADER_BYTES = 1 << 16  # statistics of long texts stand in it too
BYTES_A_NUMBER = 8
# Numbers of fields.
ROWS, ROW_GROUPS = 3, 4  # of the footer
COLUMNS = 1  # of a row group
COLUMN_DATA = 3  # of a column chunk
VALUES, UNPACKED, PACKED, FIRST_PAGE, DICTIONARY_PAGE = 5, 6, 7, 9, 11  # of its data
PAGE_UNPACKED, PAGE_PACKED, PAGE_IS_DICTIONARY = 2, 3, 7  # of a page's header


@dataclass(frozen=True)
class Sizes:
    """Of the whole file: what its pages unpack to, and the largest page of values that rows repeat."""

    rows: int
    unpacked_bytes: int
    dictionary_bytes: int


def sizes_of(path: Path) -> Sizes:
    """Read the footer and the header of every page.

    Raises BadInput: damaged, no rows, pages that unpack to more than the footer claims, or too large.
    """
    try:
        with path.open("rb") as file:
            return _sizes(file, path)
    except (
        NotThrift,
        OSError,
        TypeError,
        LookupError,
    ) as problem:  # fields that are missing or of another kind
        why = str(problem) if isinstance(problem, (NotThrift, OSError)) else "its footer lacks a field"
        raise _damaged(path, why) from problem


def _sizes(file: BinaryIO, path: Path) -> Sizes:
    footer = _footer(file)
    columns = [column[COLUMN_DATA] for group in footer.get(ROW_GROUPS, ()) for column in group[COLUMNS]]
    values = sum(max(column[VALUES], 0) for column in columns)
    claimed = sum(max(column[UNPACKED], 0) for column in columns)
    _check(path, max(claimed, BYTES_A_NUMBER * values))
    unpacked, dictionary = 0, 0
    for header in (header for column in columns for header in _headers(file, column)):
        unpacked += header[PAGE_UNPACKED]
        dictionary = max(dictionary, header[PAGE_UNPACKED] if PAGE_IS_DICTIONARY in header else 0)
    _check(path, unpacked)
    if unpacked > claimed:
        found = f"its pages unpack to {format_bytes(unpacked)}"
        raise BadInput(str(path), found, f"it claims {format_bytes(claimed)}", "Write it again")
    if footer[ROWS] <= 0:
        raise BadInput(str(path), "there are no rows", "every split needs samples")
    return Sizes(footer[ROWS], unpacked, dictionary)


def _footer(file: BinaryIO) -> Struct:
    end = file.seek(0, 2)
    file.seek(max(end - 8, 0))
    tail = file.read(8)
    size = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or size > min(end - 8, MOST_FOOTER_BYTES):
        raise NotThrift("its footer is missing or too long")
    file.seek(end - 8 - size)
    return Reader(file.read(size)).struct()


def _headers(file: BinaryIO, column: Struct) -> Iterator[Struct]:
    """The header of each page of a column chunk."""
    dictionary = column.get(DICTIONARY_PAGE, 0)
    at = min(column[FIRST_PAGE], dictionary or column[FIRST_PAGE])
    end = at + column[PACKED]
    if at < 0:
        raise NotThrift("a column before the file's beginning")
    while at < end:
        file.seek(at)
        reader = Reader(file.read(min(MOST_HEADER_BYTES, end - at)))
        header: dict[int, Any] = reader.struct()
        if min(header[PAGE_PACKED], header[PAGE_UNPACKED]) < 0:
            raise NotThrift("a page of negative size")
        yield header
        at += reader.at + header[PAGE_PACKED]


def _check(path: Path, nbytes: int) -> None:
    allowed = decoded_bytes_limit()
    if nbytes > allowed:
        found, most = format_bytes(nbytes), format_bytes(allowed)
        raise BadInput(str(path), f"it takes {found} of memory", f"{most} are allowed", LIMIT)


def _damaged(path: Path, problem: str) -> BadInput:
    return BadInput(str(path), f"not a readable Parquet file ({problem})", "", "Write it again")
