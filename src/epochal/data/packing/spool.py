"""Samples in a temporary file, in the order in which a source gives them; read back by number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import numpy as np

from epochal.data.packed.disk_room import check_room, writing_in
from epochal.data.packed.record import Record
from epochal.data.packed.row_files import RowFiles
from epochal.data.packed.row_values import values_of
from epochal.data.packed.source import FileSource
from epochal.data.packed.value_files import SUFFIX
from epochal.data.packing.lengths import Lengths
from epochal.data.ragged import Ragged, padded_to
from epochal.data.split import Split
from epochal.data.trees import Tree, labelled, map_arrays
from epochal.errors import DataError

_TIMES = 2  # the spool and the pack hold the samples, for a while both


class Spool:
    """Takes samples batch by batch; used in a ``with`` block, or several.

    Arguments:
        path: of the temporary file.
        samples: how many will come, if that is known: then too little room is said before anything is written.
        ragged: the parts whose rows have different lengths; each batch of them may be padded to another length.
    """

    def __init__(self, path: Path, samples: int | None = None, ragged: Ragged = ()) -> None:
        self.path, self.taken, self.samples, self.ragged = path, 0, samples, ragged
        self.lengths = Lengths()
        """How long the rows of ragged parts are."""
        self._digest = hashlib.sha256()
        self._record: Record | None = None
        self._file: IO[bytes] | None = None
        self._values: IO[bytes] | None = None

    def __enter__(self) -> Spool:
        with writing_in(self.path.parent):
            mode: Literal["ab", "wb"] = "ab" if self.taken else "wb"
            self._file = self.path.open(mode)
            if self.ragged:
                self._values = self.path.with_suffix(SUFFIX).open(mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._file is not None
        with writing_in(self.path.parent):
            self._file.close()
            if self._values is not None:
                self._values.close()

    def add(self, x: Tree) -> None:
        """Take the next samples, of the type and shape of all before. Raises `DataError` for others, with the row."""
        count = len(next(array for _, array in labelled(x)))
        layout = Split(map_arrays(lambda array: array[:0], x), np.zeros(0, np.uint8))
        if self._record is None:
            self._record = Record.of(layout, self.ragged)
            if self.samples is not None:
                check_room(self.path.parent, _TIMES * self.samples * self._record.bytes)
        self._check(x)

        ids = np.arange(self.taken, self.taken + count)
        words = self._record.rows_of(ids, Split(x, np.zeros(count, np.uint8)), self._add_values(x))
        self._digest.update(words.data)
        assert self._file is not None
        with writing_in(self.path.parent):
            self._file.write(words.data)
        self.taken += count

    def source(self, padded: Mapping[str, int] | None = None) -> FileSource:
        """Return what has come as a source of rows, whose targets are all 0. Raises `DataError` if that is nothing.

        ``padded``: the lengths to which ragged parts are padded, by name. Default: their longest rows.
        """
        if self._record is None or not self.taken:
            raise DataError("the source is empty; give at least one sample")
        layout = self._record.layout
        x = padded_to(self.lengths.longest if padded is None else padded, layout.x)
        record, fix = Record.of(Split(x, layout.y), self.ragged), "give the command again"
        files = RowFiles([self.path], record, self.taken, self.taken, fix, are_mapped=False)
        return FileSource(files, None, self._digest.hexdigest())

    def remove(self) -> None:
        """Delete the files."""
        for path in (self.path, self.path.with_suffix(SUFFIX)):
            path.unlink(missing_ok=True)

    def _add_values(self, x: Tree) -> tuple[Any, Any] | None:
        """Write the values of ragged parts; return where they begin, and their checksums."""
        if self._values is None:
            return None
        values = values_of(x, self.ragged)
        at = self._values.tell() + 8 * (np.cumsum(values.sizes) - values.sizes)
        self._digest.update(values.words.data)
        with writing_in(self.path.parent):
            self._values.write(values.words.data)
        self.lengths.add(x, self.ragged)
        return at.astype(np.uint64), values.checksums

    def _check(self, x: Tree) -> None:
        assert self._record is not None
        known = dict(labelled(self._record.layout.x, "x"))
        given = dict(labelled(x, "x"))
        if known.keys() != given.keys():
            raise DataError(
                f"row {self.taken:,} (from 0) has the parts {', '.join(given)}, and row 0 has {', '.join(known)}; all "
                "rows need the same"
            )
        own = {f"x[{part.name!r}]" for part in self.ragged}
        for label, array in given.items():
            wanted, start = known[label], 2 if label in own else 1
            if array.dtype != wanted.dtype or array.shape[start:] != wanted.shape[start:]:
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
