"""Samples in a temporary file, in the order in which a source gives them; read back by number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from epochal.data.packed.disk_room import check_room, writing_in
from epochal.data.packed.record import Record
from epochal.data.packed.row_files import RowFiles
from epochal.data.packed.source import FileSource
from epochal.data.split import Split
from epochal.data.trees import Tree, labelled, map_arrays
from epochal.errors import DataError

_TIMES = 2  # the spool and the pack hold the samples, for a while both


class Spool:
    """Takes samples batch by batch; used in a ``with`` block.

    Arguments:
        path: of the temporary file.
        samples: how many will come, if that is known: then too little room is said before anything is written.
    """

    def __init__(self, path: Path, samples: int | None = None) -> None:
        self.path, self.taken = path, 0
        self._samples, self._digest = samples, hashlib.sha256()
        self._record: Record | None = None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Spool:
        with writing_in(self.path.parent):
            self._file = self.path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        with writing_in(self.path.parent):
            self._file.close()

    def add(self, x: Tree) -> None:
        """Take the next samples, of the type and shape of all before. Raises `DataError` for others, with the row."""
        count = len(next(array for _, array in labelled(x)))
        layout = Split(map_arrays(lambda array: array[:0], x), np.zeros(0, np.uint8))
        if self._record is None:
            self._record = Record.of(layout)
            if self._samples is not None:
                check_room(self.path.parent, _TIMES * self._samples * self._record.bytes)
        self._check(x)

        ids = np.arange(self.taken, self.taken + count)
        words = self._record.rows_of(ids, Split(x, np.zeros(count, np.uint8)))
        self._digest.update(words.data)
        assert self._file is not None
        with writing_in(self.path.parent):
            self._file.write(words.data)
        self.taken += count

    def source(self) -> FileSource:
        """Return what has come as a source of rows, whose targets are all 0. Raises `DataError` if that is nothing."""
        if self._record is None or not self.taken:
            raise DataError("the source is empty; give at least one sample")
        fix = "give the command again"
        files = RowFiles([self.path], self._record, self.taken, self.taken, fix, are_mapped=False)
        return FileSource(files, None, self._digest.hexdigest())

    def _check(self, x: Tree) -> None:
        assert self._record is not None
        known = dict(labelled(self._record.layout.x, "x"))
        given = dict(labelled(x, "x"))
        if known.keys() != given.keys():
            raise DataError(
                f"row {self.taken:,} (from 0) has the parts {', '.join(given)}, and row 0 has {', '.join(known)}; all "
                "rows need the same"
            )
        for label, array in given.items():
            wanted = known[label]
            if array.dtype != wanted.dtype or array.shape[1:] != wanted.shape[1:]:
                raise DataError(
                    f"row {self.taken:,} (from 0): {label} is {array.dtype} of shape {array.shape[1:]}, and row 0 is "
                    f"{wanted.dtype} of shape {wanted.shape[1:]}; make them alike, or give a decode function that does"
                )


@contextmanager
def spool_folder(folder: Path) -> Iterator[Path]:
    """Make a folder for temporary files beside a pack's folder, on its disk, and remove it afterwards."""
    place = folder.absolute()
    place = place.with_name(f".{place.name}.spool")
    with writing_in(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True)
    try:
        yield place
    finally:
        remove_files(place)


def remove_files(folder: Path) -> None:
    """Delete the files of a folder, and the folder."""
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def joined(parts: list[Any]) -> Any:
    """Return some pieces of an array as one, whose type holds all of theirs."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
