"""Rows of a source that only iterates, kept in the order in which they come until all are there to be shuffled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias

import numpy as np

from epochal.data.packed.disk_room import writing_in
from epochal.data.packed.journal import Journal
from epochal.data.packed.manifest import SplitName
from epochal.data.packed.record import Record
from epochal.data.packed.row_files import RowFiles
from epochal.data.packed.source import FileSource
from epochal.data.row_source import RowSource
from epochal.data.split import Split
from epochal.data.trees import labelled
from epochal.errors import DataError

_MARK = 1 << 26  # bytes after which what has come is forced to the disk, and survives a kill


Shuffle: TypeAlias = Callable[[SplitName, RowSource], None]
"""Writes the files of a split, whose rows a source finds in any order."""


class RowSpool:
    """Takes the rows of a split in their own order; the row of number i becomes sample i.

    Used in a ``with`` block, at whose end the rows are shuffled into the pack's files.
    """

    def __init__(self, folder: Path, split: SplitName, record: Record, journal: Journal, finish: Shuffle) -> None:
        self._path, self._split, self._record = folder / f"{split}.spool", split, record
        self._journal, self._finish = journal, finish
        self._file: IO[bytes] | None = None
        self.accepted = 0
        """Rows that are there already, also from an interrupted packing: a source begins after them."""
        self._marked = 0

    def __enter__(self) -> RowSpool:
        known = self._journal.sources.get(self._split)
        if known is not None:  # all had come, and were being shuffled
            self.accepted = int(known["samples"])
            return self
        self.accepted = self._marked = self._journal.spooled.get(self._split, 0)
        with writing_in(self._path.parent):
            self._file = self._path.open("r+b" if self._path.exists() else "w+b")
        size = self.accepted * self._record.bytes
        if self._file.seek(0, os.SEEK_END) < size:
            raise DataError(f"{self._path} is shorter than when its packing was interrupted; remove the folder")
        self._file.truncate(size)
        self._file.seek(size)
        return self

    def add(self, rows: Split) -> None:
        """Take the next rows. Raises `DataError` for those of another type or shape."""
        if self._file is None:
            raise DataError(f"all {self.accepted:,} {self._split} samples have come; the source has more than before")
        self._check(rows)
        ids = np.arange(self.accepted, self.accepted + len(rows))
        with writing_in(self._path.parent):
            self._file.write(self._record.rows_of(ids, rows).data)
            self.accepted += len(rows)
            if (self.accepted - self._marked) * self._record.bytes >= _MARK:
                self._mark()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None and (kind is not None or not self.accepted):
            self._file.close()
        if kind is not None:
            return
        if not self.accepted:
            raise DataError(f"the source has no {self._split} samples; give at least one")
        if self._file is not None:
            with writing_in(self._path.parent):
                self._mark()
                self._file.close()
        if self._path.exists():
            self._finish(self._split, self._source())
            self._path.unlink()

    def _mark(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._journal.spool(self._split, self.accepted)
        self._marked = self.accepted

    def _source(self) -> FileSource:
        fix = "remove the folder and pack again"
        files = RowFiles([self._path], self._record, self.accepted, self.accepted, fix, are_mapped=False)
        return FileSource(files, None, hashlib.sha256(f"spool {self.accepted}".encode()).hexdigest())

    def _check(self, rows: Split) -> None:
        layout = self._record.layout
        if (layout.weight is None) != (rows.weight is None) and (rows.weight is not None or self._split == "train"):
            raise DataError(f"{self._split}: some rows have weights and others none, at row {self.accepted:,}")
        pairs = zip(labelled(layout.x, "x"), labelled(rows.x, "x"), strict=True)
        for (name, wanted), (_, given) in [*pairs, (("y", layout.y), ("y", rows.y))]:
            if wanted.dtype != given.dtype or wanted.shape[1:] != given.shape[1:] or len(given) != len(rows):
                raise DataError(
                    f"{self._split}: {name} of the rows from {self.accepted:,} on is {given.dtype} {given.shape[1:]}, "
                    f"and was {wanted.dtype} {wanted.shape[1:]} before; all rows need one type and shape"
                )
