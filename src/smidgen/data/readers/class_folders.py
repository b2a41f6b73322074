"""Folders named after classes: `root/class/file`, or `root/train/class/file` with `test`, perhaps `val`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smidgen.errors import BadInput

PARTS: Mapping[str, str] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Listing:
    """Files and labels by part (`""` where the folders hold no parts), and the classes' names in order."""

    files: Mapping[str, Sequence[Path]]
    labels: Mapping[str, Sequence[int]]
    names: tuple[str, ...]


def first_file(root: Path, suffixes: Collection[str]) -> Path | None:
    """The first file with one of `suffixes` at the depth of class folders, with or without parts."""
    for folder in folders(root):
        for inner in (folder, *folders(folder)):
            if found := next(_files(inner, suffixes), None):
                return found
    return None


def list_classes(root: Path, suffixes: Collection[str]) -> Listing:
    """All files below the class folders; hidden ones and other endings are passed over.

    Symbolic links are followed, but no deeper than these levels, so that a loop is no trap.
    Raises BadInput: an empty class, a class that training lacks, parts without train.
    """
    inside = folders(root)
    parts = {PARTS[f.name.lower()]: f for f in inside if f.name.lower() in PARTS}
    if not parts:
        return _listing({"": inside}, root, suffixes)
    if len(parts) < len(inside) or "train" not in parts:
        found = ", ".join(folder.name for folder in inside)
        raise BadInput(
            str(root), f"it holds {found}", "train, test and perhaps val, or only classes, are needed"
        )
    return _listing({name: folders(folder) for name, folder in parts.items()}, root, suffixes)


def folders(root: Path) -> list[Path]:
    """Sorted, hidden ones left out."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _listing(parts: Mapping[str, Sequence[Path]], root: Path, suffixes: Collection[str]) -> Listing:
    names = tuple(folder.name for folder in parts.get("train", parts.get("", ())))
    files: dict[str, list[Path]] = {part: [] for part in parts}
    labels: dict[str, list[int]] = {part: [] for part in parts}
    for part, classes in parts.items():
        for folder in classes:
            if folder.name not in names:
                raise BadInput(
                    str(folder), "a class that the training part lacks", f"it has {', '.join(names)}"
                )
            found = sorted(_files(folder, suffixes))
            if not found:
                raise BadInput(
                    str(folder), "a class without files", f"files ending in {', '.join(suffixes)} are read"
                )
            files[part] += found
            labels[part] += [names.index(folder.name)] * len(found)
    return Listing(files, labels, names)


def _files(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            yield path
