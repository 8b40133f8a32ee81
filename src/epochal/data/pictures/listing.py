"""What lies in a folder of pictures: class folders, perhaps within folders for training and test, and what is left out.

Only names are read here, no file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from epochal.data.pictures.file import is_picture
from epochal.errors import DataError

_NAMED = 3  # files that a note names; it counts the others
_LOOKED_AT = 200  # entries of each folder, where only a quick look is asked for
_DEPTH = 3  # of that look: train/cats/kittens

_SPLIT_FOLDERS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"))  # and all names with a dot before


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture's file, the name of its class, and ``"train"``, ``"test"`` or ``"validation"``."""

    path: Path
    name: str
    split: str


@dataclass(slots=True)
class Listing:
    """The samples of a folder, split by split in the order of their paths, and what is left out.

    Attributes:
        folder: the folder.
        samples: the pictures in class folders.
        others: files that are no pictures by their names.
        loose: pictures in no class folder.
        links: symbolic links that lead to folders, or out of this one.
        empty: class folders without pictures.
        beside: folders beside those for training and test.
        notes: what else the user should know.
    """

    folder: Path
    samples: list[Sample] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def names(self, split: str = "train") -> list[str]:
        """Return the classes of a split, sorted."""
        return sorted({sample.name for sample in self.samples if sample.split == split})

    def shown(self, path: Path) -> str:
        """Return the path inside the folder, as it can be printed."""
        return printable(path.relative_to(self.folder).as_posix())

    def notes_on_files(self) -> list[str]:
        """Say what was left out, and why."""
        notes = list(self.notes)
        for paths, number, why in (
            (self.others, counted(self.others, "file"), "no pictures by their names"),
            (self.loose, counted(self.loose, "picture"), "in no class subfolder"),
            (self.links, counted(self.links, "link"), "leading to a folder or out of this one"),
            (self.empty, counted(self.empty, "subfolder"), "without pictures"),
            (self.beside, counted(self.beside, "subfolder"), "neither for training nor for test"),
        ):
            if paths:
                notes.append(f"{number} left out, {why}: {some([self.shown(path) for path in paths])}")

        for split in ("test", "validation"):
            present = self.names(split)
            absent = sorted(set(self.names()) - set(present)) if present else []
            if absent:
                notes.append(f"no {split} pictures of: {some([printable(name) for name in absent])}")
        return notes


def list_pictures(folder: Path) -> Listing:
    """Return what lies in a folder of two or more classes.

    Raises:
        DataError: if it cannot be read, or is divided otherwise; the text says which structure it needs.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: {'no folder' if folder.exists() else 'no such folder'}; give a folder of pictures")

    listing = Listing(folder)
    splits = _split_folders(folder)
    for split in ("train", "test", "validation"):
        for name in (name for name, its in splits.items() if its == split):
            _add_split(listing, folder / name, split)

    if splits:
        _add_beside(listing, splits)
    else:
        _add_split(listing, folder, "train")
    _check_classes(listing, splits)

    if "validation" in splits.values() and "test" not in splits.values():
        listing.samples = [replace(one, split="test") if one.split != "train" else one for one in listing.samples]
        listing.notes.append(f"there is no test folder: {_place(splits, 'validation')} is the test set")
    return listing


def has_picture_classes(folder: Path) -> bool:
    """Return whether a folder looks like one of pictures in class folders; it looks at a few entries only."""
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop(0)
        try:
            with os.scandir(place) as entries:
                few = [Path(entry) for entry in islice(entries, _LOOKED_AT) if not _is_hidden(entry.name)]
        except OSError:
            continue

        if depth and any(is_picture(path) for path in few):
            return True
        if depth < _DEPTH:
            waiting += [(path, depth + 1) for path in few[:20] if path.is_dir() and not path.is_symlink()]
    return False


def counted(things: Sequence[object], what: str) -> str:
    """Return how many things there are.

    >>> counted(["a.jpg"], "file"), counted([], "file")
    ('1 file', '0 files')
    """
    return f"{len(things):,} {what}{'s' * (len(things) != 1)}"


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def printable(name: str) -> str:
    r"""Return a file's name with control characters and undecodable bytes written out.

    >>> printable("猫\x1b.png")
    '猫\\x1b.png'
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def _split_folders(folder: Path) -> dict[str, str]:
    """Return subfolder → split, where the folder is divided into splits; ``train`` can also be the name of a class."""
    inside = [path.name for path in _entries(folder) if path.is_dir() and not path.is_symlink()]
    splits = {name: _SPLIT_FOLDERS[name.lower()] for name in inside if name.lower() in _SPLIT_FOLDERS}
    if "train" not in splits.values() or not any(path.is_dir() for path in _entries(folder / _place(splits, "train"))):
        return {}
    if len(splits) == 1 < len(inside):
        return {}

    for split in dict.fromkeys(splits.values()):
        names = [name for name, its in splits.items() if its == split]
        if len(names) > 1:
            raise DataError(f"{folder}: {' and '.join(names)} would both be the {split} set; keep one of them")
    return splits


def _place(splits: dict[str, str], split: str) -> str:
    return next(name for name, its in splits.items() if its == split)


def _add_split(listing: Listing, folder: Path, split: str) -> None:
    """List the class folders of a split."""
    for path in _entries(folder):
        if _leads_away(path, listing.folder):
            listing.links.append(path)
        elif path.is_dir():
            _add_class(listing, path, split)
        else:
            (listing.loose if is_picture(path) else listing.others).append(path)


def _add_class(listing: Listing, folder: Path, split: str) -> None:
    """List the files of a class folder, however deep."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        for path in _entries(waiting.pop()):
            if _leads_away(path, listing.folder):
                listing.links.append(path)
            elif path.is_dir():
                waiting.append(path)
            else:
                (found if is_picture(path) else listing.others).append(path)

    if not found:
        listing.empty.append(folder)
    found.sort(key=lambda path: path.as_posix())
    listing.samples += [Sample(path, folder.name, split) for path in found]


def _add_beside(listing: Listing, splits: dict[str, str]) -> None:
    """List what lies beside the folders for training and test."""
    for path in _entries(listing.folder):
        if path.name not in splits:
            where = listing.beside if path.is_dir() else listing.loose if is_picture(path) else listing.others
            where.append(path)


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name, without hidden files and those of the system."""
    try:
        return sorted((path for path in folder.iterdir() if not _is_hidden(path.name)), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}; check its permissions") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _leads_away(path: Path, folder: Path) -> bool:
    """Return whether a path is a link to a folder, which could be a circle, or to a file outside ``folder``."""
    if not path.is_symlink():
        return False
    return path.is_dir() or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _check_classes(listing: Listing, splits: dict[str, str]) -> None:
    """Raise `DataError` where the folder is not divided into two or more classes."""
    folder, names = listing.folder, listing.names()
    first, second = ("train/cats/1.jpg", "test/cats/2.jpg") if splits else ("cats/1.jpg", "dogs/2.jpg")
    needed = f"each class needs a subfolder of its own, such as {folder}/{first} and {folder}/{second}"

    if not names and listing.loose:
        which = f"{counted(listing.loose, 'picture')} (such as {listing.shown(listing.loose[0])})"
        raise DataError(f"{folder}: {which} in no class subfolder; {needed}")
    if not names:
        also = "".join(f" ({note})" for note in listing.notes_on_files()[:1])
        raise DataError(f"{folder}: holds no pictures{also}; {needed}")
    if len(names) == 1:
        is_wrapped = has_picture_classes(folder / names[0]) and not splits
        fix = f"is {folder / names[0]} the folder that you mean?" if is_wrapped else needed
        raise DataError(f"{folder}: holds a single class, '{printable(names[0])}', but a classifier needs two; {fix}")

    for split in dict.fromkeys(splits.values()):
        _check_split(listing, _place(splits, split), split, needed)


def _check_split(listing: Listing, place: str, split: str, needed: str) -> None:
    """Raise `DataError` where a split is empty, or has a class that the training pictures lack."""
    names = listing.names(split)
    if not names:
        raise DataError(f"{listing.folder}: {place} holds no pictures in class subfolders; remove it, or: {needed}")
    strange = sorted(set(names) - set(listing.names()))
    if strange:
        raise DataError(
            f"{listing.folder}: {place} holds the class '{printable(strange[0])}', which has no training pictures; "
            "add some, or remove that subfolder"
        )
