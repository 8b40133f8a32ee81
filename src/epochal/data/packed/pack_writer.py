"""Writes packs: in one shuffle, file by file, so that an interrupted packing goes on with the same bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

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
    layout_of,
    shard_name,
)
from epochal.data.packed.record import Record
from epochal.data.packed.row_files import RowFiles
from epochal.data.packed.row_spool import RowSpool
from epochal.data.packed.source import FileSource
from epochal.data.row_source import ArraySource, RowBuffer, RowSource
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
        shard_bytes: int = SHARD_BYTES,
        progress: Progress | None = None,
    ) -> None:
        self.folder, self.name, self.what, self.progress = folder, name, what, progress
        self.record = Record.of(layout)
        self.shard_rows = max(1, shard_bytes // self.record.bytes)
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
                check_room(self.folder, missing * self.record.bytes)
            for number in range(len(done), -(-samples // self.shard_rows)):
                self._journal.finish_shard(split, self._write_shard(split, number, source))

    @contextmanager
    def stream(self, split: SplitName, samples: int | None = None) -> Iterator[RowSpool]:
        """Take the rows of a source that only iterates, in a ``with`` block; ``samples``: how many, if known.

        The rows are kept in the order in which they come until all are there, then shuffled: for that time the disk
        holds them twice.
        """
        if samples is not None and split not in self._journal.sources:
            rest = samples - self._journal.spooled.get(split, 0)
            check_room(self.folder, (rest + samples) * self.record.bytes)
        with RowSpool(self.folder, split, self.record, self._journal, self.write) as rows:
            yield rows

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
        if Record.of(layout_of(schema, has_weight)).to_plain() != self.record.to_plain():
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
        """Write a file of the pack through a temporary one."""
        path = self.folder / shard_name(split, number)
        temporary = path.with_suffix(".part")
        first, end = number * self.shard_rows, min((number + 1) * self.shard_rows, source.samples)
        digest, total, ends = hashlib.sha256(), 0, (0, 0)
        step = max(1, _AT_ONCE // self.record.bytes)
        try:
            with temporary.open("wb") as file:
                for start in range(first, end, step):
                    words = self._rows_at(source, start, min(start + step, end))
                    checksums = self.record.stored_checksums(words)
                    total = (total + int(checksums.sum(dtype=np.uint64))) % 2**64
                    ends = (int(checksums[0]) if start == first else ends[0], int(checksums[-1]))

                    digest.update(words.data)
                    file.write(words.data)
                    if self.progress is not None:
                        self.progress(f"{self.name} ({split})", start + len(words), source.samples)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(self.folder)
        return Shard(path.name, end - first, (end - first) * self.record.bytes, digest.hexdigest(), total, *ends)

    def _rows_at(self, source: RowSource, start: int, stop: int) -> Any:
        """Return the rows of the places from ``start`` to ``stop``, not included."""
        ids = stored_order(source.samples).indices_at(0, np.arange(start, stop))
        buffer = RowBuffer.of(source.layout, len(ids))
        source.hint(ids)
        source.read(ids, buffer)
        if not np.array_equal(buffer.ids, ids):
            raise DataError("the source returned other rows than it was asked for")
        return self.record.rows_of(ids, buffer)


def write_pack(
    folder: Path, data: Dataset, *, what: str, shard_bytes: int = SHARD_BYTES, progress: Progress | None = None
) -> None:
    """Write a data set as a pack. Raises `DataError` as `PackWriter` does."""
    splits: dict[SplitName, Any] = {"train": data.train, "test": data.test, "validation": data.validation}
    digest = data.fingerprint
    with PackWriter(
        folder, data.train.layout, name=data.name, what=what, shard_bytes=shard_bytes, progress=progress
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
