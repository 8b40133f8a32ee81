"""Folders of pictures with one subfolder for each class, as arrays; what was left out or changed is said in notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int32, UInt8

from epochal.data.pictures.file import (
    Header,
    UnreadableError,
    check_size,
    decode,
    is_picture,
    quiet_pillow,
    read_header,
    read_picture,
)
from epochal.data.pictures.listing import Listing, Sample, counted, has_picture_classes, list_pictures, printable, some
from epochal.data.storage import Progress
from epochal.errors import DataError

__all__ = ["Pictures", "has_picture_classes", "is_picture", "read_picture", "read_picture_folder"]

_T = TypeVar("_T")
_P = TypeVar("_P", bound=Path | bytes)

_DEFAULT_SIDE = 64
_CHUNK = 64  # pictures that a thread reads before it reports
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The pictures of a folder, all of one size.

    Attributes:
        x_train: ``(n, height, width)`` uint8 if grey, else ``(n, height, width, 3)``.
        y_train: ``(n,)`` class numbers: places in ``class_names``.
        x_test: those of the test folder; ``None`` where there is none.
        y_test: likewise.
        x_validation: those of a validation folder beside a test folder; ``None`` where there are not both.
        y_validation: likewise.
        class_names: the names of the class folders, sorted.
        size: ``(height, width)``.
        grey: whether they are grey, one number a pixel.
        broken: ``(path inside the folder, reason)`` of each picture that could not be read.
        notes: sentences for the user about what was left out or changed.
    """

    x_train: UInt8[np.ndarray, "train height width *rgb"]
    y_train: Int32[np.ndarray, " train"]
    x_test: UInt8[np.ndarray, "test height width *rgb"] | None
    y_test: Int32[np.ndarray, " test"] | None
    x_validation: UInt8[np.ndarray, "validation height width *rgb"] | None
    y_validation: Int32[np.ndarray, " validation"] | None
    class_names: tuple[str, ...]
    size: tuple[int, int]
    grey: bool
    broken: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def read_picture_folder(
    folder: Path, *, size: tuple[int, int] | None = None, grey: bool | None = None, progress: Progress | None = None
) -> Pictures:
    """Return the pictures below ``folder``: ``CLASS/*.png``, or ``train/CLASS/*.png`` with ``test/CLASS/*.png``.

    Files deeper inside a class folder count for that class. A folder ``val``, ``valid`` or ``validation`` is the test
    set where there is no ``test``. The order is that of the sorted paths, the same everywhere. Hidden files are not
    looked at, links that lead out of the folder are not followed, and pictures are scaled as `read_picture` does.

    Args:
        folder: the folder.
        size: ``(height, width)`` of every picture. Default: their own if it is the same for all and at most 64×64,
            else 64×64.
        grey: whether to make all grey. Default: whether all are, be it that they store red = green = blue.
        progress: called with a title, how many files are done and how many there are.

    Raises:
        DataError: if the folder has another structure, fewer than two classes, or a class without a sound picture; or
            if Pillow is not installed.
    """
    check_size(size)
    listing = list_pictures(folder)
    paths = [sample.path for sample in listing.samples]

    # headers first: they decide the size, and how much memory there must be
    with quiet_pillow():
        seen, reasons = read_headers(paths, progress)
        good = [i for i in range(len(paths)) if i not in reasons]
        size = size or default_size(seen)
        in_grey = all(header.grey for header in seen) if grey is None else grey
        x, answers = read_all([paths[i] for i in good], size, in_grey, progress)

    reasons |= {good[row]: answer for row, answer in enumerate(answers) if isinstance(answer, str)}
    check_classes(listing, reasons)
    if len(x) + len(reasons) > len(paths):
        x = x[[not isinstance(answer, str) for answer in answers]]

    # pictures of three equal colours are grey, whatever their files say
    greys = sum(answer is True for answer in answers)
    if grey is None and greys == len(x) and not in_grey:
        x, in_grey = np.ascontiguousarray(x[..., 0]), True

    notes = [*note_of_broken(listing, reasons), *listing.notes_on_files(), *note_of_sizes(seen, size)]
    if grey is None and greys and not in_grey:
        notes.append(f"{greys:,} of {len(x):,} pictures are grey, made RGB")
    return _pictures(listing, x, in_grey, reasons, notes)


def read_headers(paths: Sequence[Path], progress: Progress | None) -> tuple[list[Header], dict[int, str]]:
    """Return the headers of the sound pictures, and why others are not, by their number."""
    headers = in_threads(lambda i: sound(read_header, paths[i]), len(paths), "headers of pictures", progress)
    seen = [header for header in headers if isinstance(header, Header)]
    return seen, {i: header for i, header in enumerate(headers) if isinstance(header, str)}


def read_all(
    paths: Sequence[Path | bytes], size: tuple[int, int], grey: bool, progress: Progress | None
) -> tuple[UInt8[np.ndarray, "n height width *rgb"], list[bool | str]]:
    """Return the pictures, and for each whether it is grey, or why it cannot be read: its row is then undefined."""
    try:
        x = np.empty((len(paths), *size) if grey else (len(paths), *size, 3), np.uint8)
    except MemoryError as error:
        shown = f"{counted(paths, 'picture')} of {size[1]}×{size[0]}"
        raise DataError(f"{shown} do not fit into the memory; choose a smaller size") from error

    def fill(row: int) -> bool | str:
        picture = sound(lambda path: decode(path, size, grey=grey), paths[row])
        if isinstance(picture, str):
            return picture
        x[row] = picture if grey or picture.ndim == 3 else picture[..., None]
        return picture.ndim == 2 or bool((picture == picture[..., :1]).all())

    # every thread writes its own rows
    return x, in_threads(fill, len(paths), "pictures", progress)


def sound(read: Callable[[_P], _T], path: _P) -> _T | str:
    """Return what ``read`` makes of a file, or why it cannot."""
    try:
        return read(path)
    except UnreadableError as error:
        return str(error)


def in_threads(work: Callable[[int], _T], count: int, title: str, progress: Progress | None) -> list[_T]:
    """Return ``work(i)`` for every i below ``count``, done by several threads: Pillow decodes side by side."""
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    results: list[_T] = []
    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1))
    try:
        for part in pool.map(lambda chunk: [work(i) for i in chunk], chunks):
            results += part
            if progress is not None:
                progress(title, len(results), count)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for what has not begun
    return results


def default_size(headers: Sequence[Header]) -> tuple[int, int]:
    """Return the size of all if it is one and small, else 64×64."""
    sizes = {(header.height, header.width) for header in headers}
    height, width = sizes.pop() if len(sizes) == 1 else (_DEFAULT_SIDE, _DEFAULT_SIDE)
    return (height, width) if max(height, width) <= _DEFAULT_SIDE else (_DEFAULT_SIDE, _DEFAULT_SIDE)


def check_classes(listing: Listing, reasons: dict[int, str]) -> None:
    """Raise `DataError` where no picture of a class could be read."""
    sound = {(sample.split, sample.name) for i, sample in enumerate(listing.samples) if i not in reasons}
    for i, sample in enumerate(listing.samples):
        if (sample.split, sample.name) not in sound:
            raise DataError(
                f"{listing.folder}: no {sample.split} picture of the class '{printable(sample.name)}' can be read; the "
                f"first is {listing.shown(sample.path)} ({reasons[i]}); replace them, or remove that subfolder"
            )


def note_of_broken(listing: Listing, reasons: dict[int, str]) -> Iterator[str]:
    if reasons:
        shown = [f"{listing.shown(listing.samples[i].path)} ({reason})" for i, reason in sorted(reasons.items())]
        yield f"{counted(shown, 'picture')} could not be read: {some(shown)}"


def note_of_sizes(headers: Sequence[Header], size: tuple[int, int]) -> Iterator[str]:
    """Say which sizes there were, where pictures were scaled; width×height, as people write it."""
    sizes = sorted({(one.height * one.width, one.width, one.height) for one in headers})
    if {(height, width) for _, width, height in sizes} <= {size}:
        return

    cut = any(width * size[0] != height * size[1] for _, width, height in sizes)
    how = "scaled, and cut at two sides to keep the proportions" if cut else "scaled"
    first, last = (f"{width}×{height}" for _, width, height in (sizes[0], sizes[-1]))
    which = f"sizes from {first} to {last}, all" if len(sizes) > 1 else f"all pictures are {first},"
    yield f"{which} made {size[1]}×{size[0]} ({how})"


def _pictures(
    listing: Listing,
    x: UInt8[np.ndarray, "n height width *rgb"],
    grey: bool,
    reasons: dict[int, str],
    notes: Iterable[str],
) -> Pictures:
    """Divide the rows of ``x``, those of the sound samples, into splits."""
    names = listing.names()
    number = {name: i for i, name in enumerate(names)}
    kept: list[Sample] = [sample for i, sample in enumerate(listing.samples) if i not in reasons]
    y = np.array([number[sample.name] for sample in kept], np.int32)

    # the samples come split by split, so that each is a view
    ends = np.cumsum([sum(sample.split == split for sample in kept) for split in ("train", "test", "validation")])
    xs, ys = np.split(x, ends[:2]), np.split(y, ends[:2])
    has_test, has_validation = ends[1] > ends[0], ends[2] > ends[1]
    return Pictures(
        x_train=xs[0],
        y_train=ys[0],
        x_test=xs[1] if has_test else None,
        y_test=ys[1] if has_test else None,
        x_validation=xs[2] if has_validation else None,
        y_validation=ys[2] if has_validation else None,
        class_names=tuple(names),
        size=(x.shape[1], x.shape[2]),
        grey=grey,
        broken=tuple((listing.shown(listing.samples[i].path), reason) for i, reason in sorted(reasons.items())),
        notes=tuple(notes),
    )
