"""Files of rows of one size, each file of as many rows but the last: opened, mapped, gathered from, and checked."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from epochal.data.packed.copying import MOST_ROWS, Copy, FileCopy, KernelCopy, TakeCopy, has_kernel_copies
from epochal.data.packed.plain_files import close_all, open_file, read_fully, when_gone
from epochal.data.packed.record import Record, Words
from epochal.data.packed.value_files import ValueFiles
from epochal.data.row_source import RowBuffer
from epochal.errors import DataError

_COPIED_AT_ONCE = 1 << 18  # bytes that are checked while they are in the processor's cache
_LOOKED_AT = 32  # rows of a hint: if all of them are in memory, a disk is not asked for any
_PAGE = mmap.PAGESIZE


class RowFiles:
    """Rows of one type in one or more files.

    Arguments:
        paths: of the files.
        record: the type of a row.
        samples: rows of all files together.
        shard_rows: rows of each file but the last.
        fix: what a user can do about a damaged file, for messages.
        value_bytes: of ragged parts, the size of each file of values; ``None``: whatever it has.
        are_mapped: whether they are read through memory, which is five times as fast; but then the pages of files whose
            rows are read in any order count as this process's memory, up to all of them.

    Raises `DataError` for files that are missing, cannot be read or have another size.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        record: Record,
        samples: int,
        shard_rows: int,
        fix: str,
        *,
        value_bytes: Sequence[int] | None = None,
        are_mapped: bool = True,
    ) -> None:
        self.paths, self.record, self.samples, self.shard_rows, self.fix = paths, record, samples, shard_rows, fix
        self.rows_at_once = max(1, min(MOST_ROWS, _COPIED_AT_ONCE // record.bytes_read))
        self._descriptors: list[int] = []
        self._own = threading.local()
        when_gone(self, close_all, self._descriptors)

        _allow_open_files(len(paths) * (2 if record.ragged else 1))
        maps = [self._open(path, self.rows_in(shard), is_mapped=are_mapped) for shard, path in enumerate(paths)]
        self.maps = [one for one in maps if one is not None]
        self.are_mapped = len(self.maps) == len(paths)
        self._kernel_copies = self.are_mapped and has_kernel_copies()
        self.values: ValueFiles | None = None
        if record.ragged:
            self.values = ValueFiles(paths, record, value_bytes, fix)
            when_gone(self, close_all, self.values.descriptors)

    def rows_in(self, shard: int) -> int:
        """Return how many rows a file has."""
        return min(self.shard_rows, self.samples - shard * self.shard_rows)

    def read(self, places: Int64[np.ndarray, " n"], ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Copy the rows at these places, which have to have these ids; each is checked.

        Raises `DataError`, with file and row, for one that is damaged, another one, or no longer there.
        """
        copy, scratch = self._of_thread()
        for start in range(0, len(places), self.rows_at_once):
            stop = min(start + self.rows_at_once, len(places))
            shards, rows = np.divmod(places[start:stop], self.shard_rows)
            words, came = copy(shards, rows)
            if came < len(words):
                self._raise_missing(int(shards[came]), int(rows[came]))

            sums = self.record.checksums(words, scratch[: len(words)])
            wrong = (sums != self.record.stored_checksums(words)) | (words[:, 0] != ids[start:stop].astype(np.uint64))
            if wrong.any():
                first = int(np.argmax(wrong))
                is_whole = sums[first] == self.record.stored_checksums(words)[first]
                other = int(words[first, 0]) if is_whole else None
                self._raise_damaged(int(shards[first]), int(rows[first]), int(ids[start + first]), other)
            part = into.part(start, stop)
            self.record.put(words, part)
            if self.values is not None and (wrong := self.values.put(words, shards, part)).any():
                first = int(np.argmax(wrong))
                raise DataError(
                    f"{self.values.paths[shards[first]]}: the values of row {rows[first]:,} (sample "
                    f"{ids[start + first]:,}) do not fit their checksum: their bytes have changed; {self.fix}"
                )

    def words_of(self, shard: int, start: int, stop: int) -> Words:
        """Read neighbouring rows of a file as they are, unchecked. Raises `DataError` where they cannot be read."""
        size = (stop - start) * self.record.bytes
        try:
            content = read_fully(self._descriptors[shard], size, start * self.record.bytes)
        except OSError as error:
            raise DataError(f"{self.paths[shard]}: cannot be read ({error.strerror}); check its disk") from error
        if len(content) < size:
            self._raise_missing(shard, start + len(content) // self.record.bytes)
        return np.frombuffer(content, np.uint64).reshape(stop - start, self.record.words)

    def hint(self, places: Int64[np.ndarray, " n"]) -> bool:
        """Ask the disk for the pages of rows that are read soon, unless memory has them; return whether it has."""
        if not len(places) or self._are_in_memory(places):
            return True
        if not hasattr(os, "posix_fadvise"):
            return False
        first = np.sort(places)
        shards, rows = np.divmod(first, self.shard_rows)
        begin = rows * self.record.bytes
        end = begin + self.record.bytes

        # neighbours that share or touch a page are asked for together
        begin, end = begin // _PAGE * _PAGE, -(-end // _PAGE) * _PAGE
        is_new = np.ones(len(first), bool)
        is_new[1:] = (begin[1:] > end[:-1]) | (shards[1:] != shards[:-1])
        starts = np.flatnonzero(is_new)
        ends = end[np.append(starts[1:], len(first)) - 1]
        for shard, low, high in zip(shards[starts].tolist(), begin[starts].tolist(), ends.tolist(), strict=True):
            os.posix_fadvise(self._descriptors[shard], low, high - low, os.POSIX_FADV_WILLNEED)
        return False

    def status_of(self, shard: int) -> list[os.stat_result]:
        """Return what the system says of an open file, and of that with its values."""
        values = [] if self.values is None else [self.values.descriptors[shard]]
        return [os.fstat(one) for one in (self._descriptors[shard], *values)]

    # --- opening ------------------------------------------------------------------------------------------------------

    def _open(self, path: Path, rows: int, *, is_mapped: bool) -> Words | None:
        """Open and map a file; ``None`` where its disk cannot map files, or it is not to be."""
        size = rows * self.record.bytes
        descriptor = open_file(path, self.fix)
        self._descriptors.append(descriptor)
        status = os.fstat(descriptor)
        if status.st_size != size:
            raise DataError(
                f"{path} has {status.st_size:,} bytes, and {rows:,} rows of {self.record.bytes:,} are {size:,}: it is "
                f"truncated or of another pack; {self.fix}"
            )

        if not is_mapped:
            return None
        try:
            memory = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        except OSError:
            return None
        if hasattr(memory, "madvise"):
            memory.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(memory, np.uint64).reshape(rows, self.record.words)

    def _of_thread(self) -> tuple[Copy, Words]:
        """Return this thread's own way to copy, and its room for checksums."""
        if not hasattr(self._own, "copy"):
            rows, words = self.rows_at_once, self.record.words
            if self._kernel_copies:
                self._own.copy = KernelCopy(self.maps, rows)
            elif self.are_mapped:
                self._own.copy = TakeCopy(self.maps, rows, self._descriptors)
            else:
                self._own.copy = FileCopy(self._descriptors, rows, words)
            self._own.scratch = np.empty((rows, words), np.uint64)
        return self._own.copy, self._own.scratch

    def _are_in_memory(self, places: Int64[np.ndarray, " n"]) -> bool:
        """Return whether a few of these rows can be read without a disk, where the system can say so."""
        flag = getattr(os, "RWF_NOWAIT", None)
        if flag is None:
            return False
        byte = bytearray(1)
        few = places[:: max(1, len(places) // _LOOKED_AT)]
        shards, rows = np.divmod(few, self.shard_rows)
        for shard, row in zip(shards.tolist(), rows.tolist(), strict=True):
            try:
                os.preadv(self._descriptors[shard], [byte], row * self.record.bytes, flag)
            except OSError:  # it would have to wait, or the file system cannot say
                return False
        return True

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def _raise_missing(self, shard: int, row: int) -> None:
        size, expected = self.status_of(shard)[0].st_size, self.rows_in(shard) * self.record.bytes
        why = (
            f"it was truncated from {expected:,} to {size:,} bytes while in use"
            if size < expected
            else "its disk does not return it"
        )
        raise DataError(f"{self.paths[shard]}: row {row:,} cannot be read: {why}; {self.fix}")

    def _raise_damaged(self, shard: int, row: int, expected: int, other: int | None) -> None:
        size = self.rows_in(shard) * self.record.bytes
        if self.status_of(shard)[0].st_size != size:
            self._raise_missing(shard, row)
        why = (
            "does not fit its checksum: its bytes have changed"
            if other is None
            else f"is sample {other:,} where sample {expected:,} belongs: rows were exchanged, or it is of another pack"
        )
        raise DataError(f"{self.paths[shard]}: row {row:,} (sample {expected:,}) {why}; {self.fix}")


def _allow_open_files(count: int) -> None:
    """Raise this process's limit of open files, as far as it may, for a pack of very many files."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    wanted = 2 * count + 256  # each mapping has a descriptor of its own
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        highest = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, highest), hard))
