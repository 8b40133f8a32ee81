"""Writes packs: in one shuffle, file by file, so that an interrupted packing goes on with the same bytes."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from jaxtyping import UInt64

from epochal.block_order import stored_order
from epochal.data.data_schema import Schema
from epochal.data.dataset import Dataset
from epochal.data.packed.disk_room import check_room, writing_in
from epochal.data.packed.journal import JOURNAL, Journal
from epochal.data.packed.manifest import (
    MANIFEST,
    SCHEMA,
    SPLITS,
    Manifest,
    PackedSplit,
    Shard,
    SplitName,
    Values,
    layout_of,
    shard_name,
)
from epochal.data.packed.record import Record
from epochal.data.packed.row_files import RowFiles
from epochal.data.packed.row_values import values_of
from epochal.data.packed.source import FileSource
from epochal.data.packed.value_files import SUFFIX
from epochal.data.ragged import Ragged, ragged_parts
from epochal.data.row_source import ArraySource, RowBuffer, RowSource, StoredSplit
from epochal.data.split import Split
from epochal.data.storage import Progress
from epochal.errors import DataError, RunError
from epochal.files import atomic_write, make_folder, sync_folder
from epochal.lock import locked

SHARD_BYTES = 256 << 20
_AT_ONCE = 4 << 20  # bytes that are asked of a source together
_LOCK = "packing.lock"


class PackWriter:
    """Makes a pack in a folder; used in a ``with`` block.

    Leaving the block without `finish` leaves an interrupted packing there, which goes on when the same is packed again.

    Arguments:
        folder: a new one, an empty one, or that of an interrupted packing of the same.
        layout: a split of no samples, which shows types and shapes of all splits; only training samples have weights.
        name: what the data set is called.
        what: which source is packed, with which options: an interrupted packing goes on only for the same.
        ragged: the parts of samples whose rows have different lengths.
        shard_bytes: the size of a file, about.
        progress: called with a title, the rows that are written, and the rows there are.

    Raises `DataError` where the folder holds something else, is in use, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        layout: Split,
        *,
        name: str,
        what: str,
        ragged: Ragged = (),
        shard_bytes: int = SHARD_BYTES,
        progress: Progress | None = None,
    ) -> None:
        self.folder, self.name, self.what, self.progress = folder, name, what, progress
        self.record = Record.of(layout, ragged)
        self.shard_rows = max(1, shard_bytes // self.record.bytes_read)
        self._stack = ExitStack()

    def __enter__(self) -> PackWriter:
        _refuse_other_content(self.folder)
        with writing_in(self.folder):
            make_folder(self.folder)

        with self._stack as stack:
            try:
                stack.enter_context(locked(self.folder / _LOCK))
            except RunError as error:
                raise DataError(str(error)) from error

            plan = {"what": self.what, "name": self.name, "record": self.record.to_plain(), "rows": self.shard_rows}
            if self.record.ragged:
                plan["ragged"] = self.record.ragged_to_plain()
            with writing_in(self.folder):
                self._journal = Journal(self.folder, plan)
            stack.callback(self._journal.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, split: SplitName, source: RowSource) -> None:
        """Write the rows of a source that finds any of them; goes on at the first file that is missing.

        Raises `DataError` where the disk has too little room or the source cannot be read.
        """
        done = self._journal.shards.get(split, [])
        samples = source.samples
        missing = samples - sum(shard.rows for shard in done)
        with writing_in(self.folder):
            self._journal.begin(split, {"samples": samples, "fingerprint": source.fingerprint})
            if missing:
                check_room(self.folder, missing * (source.row_bytes if self.record.ragged else self.record.bytes))
            for number in range(len(done), -(-samples // self.shard_rows)):
                self._journal.finish_shard(split, self._write_shard(split, number, source))

    def stored(self, split: SplitName) -> RowSource:
        """Return the rows of a split that is written."""
        about = self._split(split)
        paths = [self.folder / shard.file for shard in about.shards]
        files = RowFiles(paths, self.record, about.samples, about.shard_rows, "remove the folder and pack again")
        return FileSource(files, stored_order(about.samples), "")

    def finish(self, schema: Schema, notes: tuple[str, ...] = ()) -> None:
        """Write what the pack is, which makes it one. Raises `DataError` where the rows are of another type."""
        names = [name for name in SPLITS if name in self._journal.sources]
        has_weight = self.record.layout.weight is not None
        record = Record.of(layout_of(schema, has_weight), self.record.ragged)
        if (record.to_plain(), record.ragged_to_plain()) != (self.record.to_plain(), self.record.ragged_to_plain()):
            raise DataError("the schema's types and shapes are not those of the rows that were packed")
        if not {"train", "test"} <= set(names):
            raise DataError(f"a pack needs training and test samples; packed so far: {', '.join(names) or 'nothing'}")

        splits = {name: self._split(name) for name in names}
        manifest = Manifest(self.name, self.what, schema, self.record, splits, notes)
        schema_bytes, manifest_bytes = manifest.files()
        with writing_in(self.folder):
            atomic_write(self.folder / SCHEMA, schema_bytes)
            atomic_write(self.folder / MANIFEST, manifest_bytes)
            self._journal.remove()
            (self.folder / _LOCK).unlink(missing_ok=True)

    def _split(self, split: SplitName) -> PackedSplit:
        samples = int(self._journal.sources[split]["samples"])
        return PackedSplit(samples, self.shard_rows, tuple(self._journal.shards.get(split, ())))

    def _write_shard(self, split: SplitName, number: int, source: RowSource) -> Shard:
        """Write a file of the pack, and that of its values, each through a temporary one."""
        path = self.folder / shard_name(split, number)
        first, end = number * self.shard_rows, min((number + 1) * self.shard_rows, source.samples)
        total, ends = 0, (0, 0)
        step = max(1, _AT_ONCE // self.record.bytes_read)
        with _WholeFile(path) as rows, _WholeFile(path.with_suffix(SUFFIX)) as values:
            for start in range(first, end, step):
                words = self._rows_at(source, start, min(start + step, end), values)
                checksums = self.record.stored_checksums(words)
                total = (total + int(checksums.sum(dtype=np.uint64))) % 2**64
                ends = (int(checksums[0]) if start == first else ends[0], int(checksums[-1]))

                rows.write(words)
                if self.progress is not None:
                    self.progress(f"{self.name} ({split})", start + len(words), source.samples)
            # the rows' file last: with it, both are there
            of_values = Values(values.size, values.finish()) if self.record.ragged else None
            digest = rows.finish()
        sync_folder(self.folder)
        return Shard(path.name, end - first, rows.size, digest, total, *ends, values=of_values)

    def _rows_at(self, source: RowSource, start: int, stop: int, values: _WholeFile) -> Any:
        """Return the rows of the places from ``start`` to ``stop``, not included; write their values."""
        ids = stored_order(source.samples).indices_at(0, np.arange(start, stop))
        buffer = RowBuffer.of(source.layout, len(ids))
        source.hint(ids)
        source.read(ids, buffer)
        if not np.array_equal(buffer.ids, ids):
            raise DataError("the source returned other rows than it was asked for")
        if not self.record.ragged:
            return self.record.rows_of(ids, buffer)

        of_rows = values_of(buffer.x, self.record.ragged)
        at = values.size + 8 * (np.cumsum(of_rows.sizes) - of_rows.sizes)
        values.write(of_rows.words)
        return self.record.rows_of(ids, buffer, (at.astype(np.uint64), of_rows.checksums))


class _WholeFile:
    """A file of a pack that appears under its name when it is whole; used in a ``with`` block.

    Without a `write` or a `finish`, there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_suffix(f"{path.suffix}.part")
        self._digest, self.size = hashlib.sha256(), 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _WholeFile:
        return self

    def write(self, words: UInt64[np.ndarray, "..."]) -> None:
        """Write words."""
        if self._file is None:
            self._file = self._temporary.open("wb")
        self._digest.update(words.data)
        self._file.write(words.data)
        self.size += words.nbytes

    def finish(self) -> str:
        """Force the file to the disk and give it its name; return the SHA-256 of its content."""
        self._file = self._file or self._temporary.open("wb")
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._temporary.replace(self._path)
        self._file = None
        return self._digest.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def write_pack(
    folder: Path, data: Dataset, *, what: str, shard_bytes: int = SHARD_BYTES, progress: Progress | None = None
) -> None:
    """Write a data set as a pack. Raises `DataError` as `PackWriter` does."""
    splits: dict[SplitName, Any] = {"train": data.train, "test": data.test, "validation": data.validation}
    digest = data.fingerprint
    ragged = ragged_parts(data.train.source) if isinstance(data.train, StoredSplit) else ()
    with PackWriter(
        folder, data.train.layout, name=data.name, what=what, ragged=ragged, shard_bytes=shard_bytes, progress=progress
    ) as pack:
        for name, split in splits.items():
            if split is not None:
                pack.write(name, ArraySource(split, digest) if isinstance(split, Split) else split.source)
        pack.finish(Schema.of(data), data.notes)


def _refuse_other_content(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} is no folder; give a new one")
    if (folder / MANIFEST).exists():
        raise DataError(f"{folder} holds a pack already; give another folder, or remove it")
    if folder.is_dir() and not (folder / JOURNAL).exists() and any(one.name != _LOCK for one in folder.iterdir()):
        raise DataError(f"{folder} holds other files; a pack needs a folder of its own: give a new one")
