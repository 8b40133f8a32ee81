"""Copies rows out of files, many at once, and says where it could not instead of ending the process.

A process that touches a mapped page which its file no longer has, since somebody truncated it or a network disk went
away, is killed by SIGBUS. The kernel answers the same touch with an error where it copies itself. So rows are copied by
one ``pwritev`` of up to a thousand of them into a small file in memory, which is mapped too: about 150 ns for a row of
800 bytes, against 75 ns for NumPy's ``take`` and 800 ns for a ``pread`` of its own.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int64

from epochal.data.packed.plain_files import when_gone
from epochal.data.packed.record import Words

MOST_ROWS = 1024
"""Of one copy: what Linux takes in a ``pwritev``."""

Copy: TypeAlias = Callable[[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]], tuple[Words, int]]
"""Takes the shard and the row of each wanted row; returns the rows, and how many of them came before one that did not.

It owns the memory of its result until its next call, so each thread has one of its own.
"""

_SLICE = np.dtype([("base", np.uintp), ("length", np.uintp)])


class KernelCopy:
    """Copies from mapped files by the kernel (Linux)."""

    def __init__(self, maps: Sequence[Words], rows: int) -> None:
        words = maps[0].shape[1]
        size = rows * words * 8
        self._descriptor = os.memfd_create("epochal-rows")
        when_gone(self, os.close, self._descriptor)
        os.ftruncate(self._descriptor, size)
        self._room = np.frombuffer(mmap.mmap(self._descriptor, size), np.uint64).reshape(rows, words)
        self._bases = np.array([shard.ctypes.data for shard in maps], np.uint64)
        self._slices = np.empty(rows, _SLICE)
        self._slices["length"] = self._row_bytes = words * 8
        self._write = _kernel_write()

    def __call__(self, shards: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " n"]) -> tuple[Words, int]:
        """Copy rows."""
        count = len(rows)
        self._slices["base"][:count] = self._bases[shards] + rows.astype(np.uint64) * np.uint64(self._row_bytes)

        # what was interrupted goes on; where nothing comes any more, the next row cannot be read
        done = 0
        while done < count:
            first = self._slices[done:].ctypes.data
            written = self._write(self._descriptor, first, count - done, done * self._row_bytes)
            if written < self._row_bytes:
                break
            done += written // self._row_bytes
        return self._room[:count], done


class TakeCopy:
    """Copies from mapped files by NumPy, after a look at each file's size: where the kernel cannot be asked to."""

    def __init__(self, maps: Sequence[Words], rows: int, descriptors: Sequence[int]) -> None:
        self._maps, self._descriptors = maps, descriptors
        self._room: Words = np.empty((rows, maps[0].shape[1]), np.uint64)

    def __call__(self, shards: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " n"]) -> tuple[Words, int]:
        """Copy rows."""
        room = self._room[: len(rows)]
        for shard in np.unique(shards):
            wanted = np.flatnonzero(shards == shard)
            if os.fstat(self._descriptors[shard]).st_size < self._maps[shard].nbytes:
                return room, int(wanted[0])
            room[wanted] = np.take(self._maps[shard], rows[wanted], axis=0)
        return room, len(rows)


class FileCopy:
    """Reads row by row: where a file system cannot map files."""

    def __init__(self, descriptors: Sequence[int], rows: int, words: int) -> None:
        self._descriptors = descriptors
        self._room: Words = np.empty((rows, words), np.uint64)
        self._views = [memoryview(row).cast("B") for row in self._room]

    def __call__(self, shards: Int64[np.ndarray, " n"], rows: Int64[np.ndarray, " n"]) -> tuple[Words, int]:
        """Copy rows."""
        size = self._room.shape[1] * 8
        for number, (shard, row) in enumerate(zip(shards.tolist(), rows.tolist(), strict=True)):
            try:
                came = os.preadv(self._descriptors[shard], [self._views[number]], row * size)
            except OSError:
                came = 0
            if came < size:
                return self._room[: len(rows)], number
        return self._room[: len(rows)], len(rows)


def has_kernel_copies() -> bool:
    """Return whether the kernel copies rows here, by having it copy two and refuse one."""
    try:
        rows: Words = np.array([[5], [7]], np.uint64)
        copy = KernelCopy([rows], 2)
        room, came = copy(np.zeros(2, np.int64), np.array([1, 0]))
        if came != 2 or room[:, 0].tolist() != [7, 5]:
            return False

        # nothing is ever mapped at the first page
        copy._bases[:] = 8
        return copy(np.zeros(1, np.int64), np.zeros(1, np.int64))[1] == 0
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def _kernel_write() -> Any:
    """Return C's ``pwritev``, called without Python's lock. Raises `AttributeError` where there is none."""
    write = ctypes.CDLL(None).pwritev
    write.restype = ctypes.c_ssize_t
    write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64]
    return write
