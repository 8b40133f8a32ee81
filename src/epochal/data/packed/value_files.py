"""The values of ragged parts: of each file of rows, a file beside it in which they lie row after row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64

from epochal.data.packed.plain_files import open_file, read_fully
from epochal.data.packed.record import Record, Words
from epochal.data.packed.row_values import put_values, sizes_of
from epochal.data.row_source import RowBuffer
from epochal.errors import DataError

SUFFIX = ".values"
_WORD = 8


class ValueFiles:
    """The values of rows in one or more files.

    Arguments:
        paths: of the files of rows.
        record: the type of a row.
        sizes: of the files of values; ``None``: whatever they have.
        fix: what a user can do about a damaged file, for messages.

    Raises `DataError` for files that are missing, cannot be read or have another size.
    """

    def __init__(self, paths: Sequence[Path], record: Record, sizes: Sequence[int] | None, fix: str) -> None:
        self.paths, self._record, self.fix = [path.with_suffix(SUFFIX) for path in paths], record, fix
        self.descriptors: list[int] = []
        for path in self.paths:
            self.descriptors.append(open_file(path, fix))
        self.sizes = [os.fstat(descriptor).st_size for descriptor in self.descriptors]
        for path, size, wanted in zip(self.paths, self.sizes, self.sizes if sizes is None else sizes, strict=True):
            if size != wanted:
                raise DataError(
                    f"{path} has {size:,} bytes, and its values are {wanted:,}: it is truncated or of another pack; "
                    f"{fix}"
                )

    def put(self, words: Words, shards: Int64[np.ndarray, " n"], into: RowBuffer) -> Bool[np.ndarray, " n"]:
        """Read the values of rows that are in ``into`` already; return which of them are not what they should be.

        Raises `DataError` where a file does not return them.
        """
        rows = words.view(self._record.dtype)[:, 0]
        ragged = self._record.ragged
        wrong = self._lead_elsewhere(rows["at"], shards, into)
        if wrong.any():
            return wrong
        values = self._read(shards, rows["at"].astype(np.int64), sizes_of(into.x, ragged))
        is_other: Bool[np.ndarray, " n"] = put_values(values, into.x, ragged) != rows["values"]
        return is_other

    def bytes_of(self, shard: int, start: int, stop: int) -> bytes:
        """Read a part of a file as it is. Raises `DataError` where it cannot be read."""
        try:
            content = read_fully(self.descriptors[shard], stop - start, start)
        except OSError as error:
            raise DataError(f"{self.paths[shard]}: cannot be read ({error.strerror}); check its disk") from error
        if len(content) < stop - start:
            self._raise_missing(shard)
        return content

    def _lead_elsewhere(
        self, at: UInt64[np.ndarray, " n"], shards: Int64[np.ndarray, " n"], into: RowBuffer
    ) -> Bool[np.ndarray, " n"]:
        """Return which rows' lengths and places cannot be, whatever their checksums say."""
        wrong = np.zeros(len(at), bool)
        for part in self._record.ragged:
            lengths = into.x[part.lengths]
            wrong |= (lengths < 0) | (lengths > into.x[part.name].shape[1])
        ends = np.array(self.sizes, np.int64)[shards]
        sizes = np.where(wrong, 0, sizes_of(into.x, self._record.ragged)) * _WORD
        wrong |= (at % np.uint64(_WORD) != 0) | (at > ends.astype(np.uint64)) | (at.astype(np.int64) > ends - sizes)
        return wrong

    def _read(
        self, shards: Int64[np.ndarray, " n"], at: Int64[np.ndarray, " n"], sizes: Int64[np.ndarray, " n"]
    ) -> UInt64[np.ndarray, " words"]:
        """Return the words of rows; of neighbours in a file with one call."""
        ends = at + sizes * _WORD
        begins = np.ones(len(at), bool)
        begins[1:] = (at[1:] != ends[:-1]) | (shards[1:] != shards[:-1])
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(at)) - 1

        places = np.concatenate([[0], np.cumsum(sizes)]) * _WORD
        words = np.empty(int(places[-1]) // _WORD, np.uint64)
        room = words.view(np.uint8)
        runs = zip(
            shards[first].tolist(), at[first].tolist(), places[first].tolist(), places[last + 1].tolist(), strict=True
        )
        for shard, place, start, stop in runs:
            if start < stop:
                self._read_into(shard, place, room[start:stop])
        return words

    def _read_into(self, shard: int, place: int, room: UInt8[np.ndarray, " bytes"]) -> None:
        done = 0
        while done < len(room):
            try:
                came = os.preadv(self.descriptors[shard], [room[done:].data], place + done)
            except OSError:
                came = 0
            if not came:
                self._raise_missing(shard)
            done += came

    def _raise_missing(self, shard: int) -> None:
        size = os.fstat(self.descriptors[shard]).st_size
        why = (
            f"it was truncated from {self.sizes[shard]:,} to {size:,} bytes while in use"
            if size < self.sizes[shard]
            else "its disk does not return it"
        )
        raise DataError(f"{self.paths[shard]} cannot be read: {why}; {self.fix}")
