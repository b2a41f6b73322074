"""Parquet: encoded images or recordings, or plain numbers, with labels. One file, or a folder of parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from smidgen.data.readers import images, recordings
from smidgen.data.readers.class_folders import PARTS
from smidgen.data.readers.columns import Columns, choose_columns
from smidgen.data.readers.labels import encode, targets_of
from smidgen.data.readers.media import Blob, stack
from smidgen.data.readers.parquet_sizes import sizes_of
from smidgen.data.readers.request import Found, Request
from smidgen.data.rows import Inputs
from smidgen.errors import BadInput, MissingExtra

BATCH_ROWS = 64  # encoded files of so many rows are in memory at once
BATCH_BYTES = 64 << 20
Array = npt.NDArray[Any]
Raw = dict[str, Any]  # one part: x, and as they are in the file y, groups, split


def read(request: Request) -> Found:
    """`x`, `y` and perhaps `groups` of the whole, or of each part that file names or a split column tell.

    Images become float32 [n, H, W, C] in 0..1, recordings [n, T, 1] in -1..1, numeric columns [n, columns];
    text labels are numbered in alphabetical order.

    Raises BadInput: the file is damaged, a column is missing, ambiguous or has empty cells.
    MissingExtra: pyarrow (or what decodes the media) is not installed.
    """
    files = _files(request.path)
    columns, hint = choose_columns(request, [_schema(file) for group in files.values() for file in group])
    decode, finish, remedy = _media(request, columns)
    parts = {name: _part(group, columns, decode, remedy, request) for name, group in files.items()}
    if columns.split:
        parts = _by_split(parts[""], request.path)
    return _found(parts, columns, hint, finish, request)


def _found(
    parts: Mapping[str, Raw],
    columns: Columns,
    hint: tuple[str, ...],
    finish: Callable[[Array], Inputs],
    request: Request,
) -> Found:
    """Numbers for labels and groups, the same in all parts, and the parts' arrays under their names."""
    labels, names = targets_of({part: raw["y"] for part, raw in parts.items()}, str(request.path), hint)
    groups = encode({part: raw["groups"] for part, raw in parts.items()})[0] if columns.group else {}
    arrays: dict[str, Any] = {}
    for part, raw in parts.items():
        end = f"_{part}" if part else ""
        arrays[f"x{end}"], arrays[f"y{end}"] = finish(raw["x"]), labels[part]
        if columns.group:
            arrays[f"groups{end}"] = groups[part]
    return Found(arrays, names, (columns.describe(),))


def _files(path: Path) -> dict[str, list[Path]]:
    """By part; `""` for a whole that is still to be split."""
    if path.is_file():
        return {"": [path]}
    files = sorted(path.glob("*.parquet")) or sorted((path / "data").glob("*.parquet"))
    parts: dict[str, list[Path]] = {}
    for file in files:
        begin = file.stem.lower().replace("_", "-").split("-")[0]
        parts.setdefault(PARTS.get(begin, ""), []).append(file)
    if "" in parts and len(parts) > 1:
        found = ", ".join(file.name for file in parts[""])
        raise BadInput(
            str(path), f"{found} beside train and test files", "each must say its part", "Name one file"
        )
    if "" not in parts and "train" not in parts:
        raise BadInput(str(path), f"only {', '.join(parts)} files", "train files are needed too")
    return parts


def _schema(file: Path) -> Any:
    return open_table(file).schema_arrow


def open_table(file: Path) -> Any:
    """A `ParquetFile` that can be held in memory, by its footer. Raises BadInput or MissingExtra."""
    try:
        import pyarrow.parquet as pq
    except ImportError as missing:
        raise MissingExtra("reading Parquet", "pyarrow", "data") from missing
    sizes_of(file)
    try:
        return pq.ParquetFile(file)
    except Exception as problem:  # damaged footers raise all kinds
        raise BadInput(
            str(file), f"not a readable Parquet file ({problem})", "", "Write it again"
        ) from problem


def _media(
    request: Request, columns: Columns
) -> tuple[Callable[[str, Blob], Array] | None, Callable[[Array], Inputs], str]:
    """How a cell becomes a sample (None: numbers), how all are laid out, what helps if they differ."""
    if columns.kind == "image":
        request.allow("image", "label", "group", "split", "resize", "channels", "layout")

        def laid_out(x: Array) -> Array:
            return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if images.channels_first(x, request) else x

        return images.ImageDecoder.of(request), laid_out, images.REMEDY
    if columns.kind == "audio":
        request.allow("audio", "label", "group", "split", "samples", "channels")
        decode = recordings.AudioDecoder.of(request)
        return decode, lambda x: recordings.shaped(x, request), recordings.REMEDY
    request.allow("label", "group", "split")
    return None, lambda x: x, ""


def _part(
    files: Sequence[Path],
    columns: Columns,
    decode: Callable[[str, Blob], Array] | None,
    remedy: str,
    request: Request,
) -> Raw:
    """One part, its files one after the other."""
    where = str(request.path)
    rest: dict[str, list[Any]] = {name: [] for name in columns.plain}
    if decode is None:
        for name, column in _tables(files, columns.plain):
            rest[name].append(column)
        with np.errstate(over="ignore"):  # too large for float32 becomes infinity, which is refused later
            x = np.stack([np.concatenate(rest[n]).astype(np.float32) for n in columns.features], axis=1)
    else:
        count = sum(open_table(file).metadata.num_rows for file in files)
        x = stack(_cells(files, columns, rest), count, decode, where, remedy)
    joined = {name: np.concatenate(rest[name]) for name in columns.plain}
    labels = [joined[name] for name in columns.labels]
    y = labels[0] if len(labels) == 1 else np.stack([label.astype(np.float64) for label in labels], axis=1)
    return {"x": x, "y": y, "groups": joined.get(columns.group), "split": joined.get(columns.split)}


def _tables(files: Sequence[Path], names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    for file in files:
        for batch in _batches(file, names):
            yield from ((name, _values(batch, name, file)) for name in names)


def _cells(files: Sequence[Path], columns: Columns, rest: dict[str, list[Any]]) -> Iterator[tuple[str, Blob]]:
    """Encoded files one by one, as (name, bytes); the other columns are added to `rest` on the way."""
    for file in files:
        row = 0
        for batch in _batches(file, (columns.media, *columns.plain)):
            for name in columns.plain:
                rest[name].append(_values(batch, name, file))
            for cell in batch.column(columns.media):
                contents = cell.as_py()
                contents = contents.get("bytes") if isinstance(contents, Mapping) else contents
                name = f"{file}, row {row}"
                if not isinstance(contents, bytes):
                    found = f"column {columns.media} holds no bytes"
                    raise BadInput(name, found, "paths are not followed", "Embed the files into the table")
                yield name, contents
                row += 1


def _batches(file: Path, names: Sequence[str]) -> Iterator[Any]:
    """Record batches. Raises BadInput where the data are damaged."""
    sizes = sizes_of(file)
    # Each row may repeat the largest value.
    rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(sizes.dictionary_bytes, 1)))
    opened, count = open_table(file), 0
    try:
        for batch in opened.iter_batches(batch_size=rows, columns=list(names)):
            count += batch.num_rows
            if count <= sizes.rows:
                yield batch
    except (OSError, ValueError, MemoryError) as problem:  # pyarrow's errors are of these kinds
        if isinstance(problem, BadInput):
            raise
        raise BadInput(str(file), f"its data can't be read ({problem})", "", "Write it again") from problem
    if count != sizes.rows:
        raise BadInput(str(file), f"it has {count} rows", f"{sizes.rows} are declared", "Write it again")


def _values(batch: Any, name: str, file: Path) -> Array:
    column = batch.column(name)
    if column.null_count:
        raise BadInput(
            str(file), f"column {name} has empty cells", "every row needs a value", "Drop those rows"
        )
    try:
        values: Array = column.to_numpy(zero_copy_only=False)
    except _arrow_error() as problem:  # text that is not UTF-8
        found = f"column {name} can't be read ({type(problem).__name__})"
        raise BadInput(str(file), found, "", "Write it again") from problem
    return values


def _arrow_error() -> type[Exception]:
    import pyarrow

    return cast("type[Exception]", pyarrow.lib.ArrowException)


def _by_split(whole: Raw, path: Path) -> dict[str, Raw]:
    """The parts that the split column names."""
    said = np.array([str(value).lower() for value in whole["split"]])
    unknown = sorted(set(said) - set(PARTS))
    if unknown or "train" not in said:
        found = (
            f"the split column says {str(unknown[0])!r}" if unknown else "the split column never says train"
        )
        raise BadInput(str(path), found, f"{', '.join(PARTS)} are known")
    part_of_row = np.array([PARTS[value] for value in said])
    return {
        part: {key: None if array is None else array[part_of_row == part] for key, array in whole.items()}
        for part in dict.fromkeys(part_of_row.tolist())
    }
