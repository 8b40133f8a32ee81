"""Compares whole files of a pack with its manifest, beside a training and out of its way.

Each row is checked whenever it is read. What that cannot find is a file of sound rows that is not this pack's: one of
another version of the same data. So, before the first row of a file is used, its first and last row are compared with
the manifest; and a thread of lowest priority then reads the file once from end to end for its SHA-256, which also
brings it into memory sooner than scattered rows would. What it found sound is remembered in the user's cache, until the
file changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from epochal.data.packed.manifest import FIX, Shard
from epochal.data.packed.row_files import RowFiles
from epochal.data.storage import cache_folder
from epochal.errors import DataError
from epochal.files import atomic_write, make_folder

_PIECE = 1 << 20
_LOWEST = 19  # of priorities
_REST = 2.0  # times as long as a piece took, so that a training keeps its processor and disk


class ContentCheck:
    """Checks the files of a split when they are first read from.

    Arguments:
        files: the open files.
        shards: what the manifest says of them.
    """

    def __init__(self, files: RowFiles, shards: Sequence[Shard]) -> None:
        self._files, self._shards = files, shards
        self._is_read = np.zeros(len(shards), bool)
        self._waiting: queue.Queue[int] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.fault: DataError | None = None

    def before_reading(self, places: Int64[np.ndarray, " n"]) -> None:
        """Look at files from which nothing was read yet. Raises `DataError` for one that is not the manifest's."""
        if self.fault is not None:
            raise self.fault
        if self._is_read.all():
            return
        for shard in np.unique(places // self._files.shard_rows).tolist():
            if not self._is_read[shard]:
                compare_ends(self._files, shard, self._shards[shard])
                self._begin(shard)

    def wait(self) -> None:
        """Wait until every file that was read from is checked. Raises `DataError` for a wrong one."""
        self._waiting.join()
        if self.fault is not None:
            raise self.fault

    def _begin(self, shard: int) -> None:
        """Have a file's whole content checked, unless that was done before."""
        with self._lock:
            if self._is_read[shard]:
                return
            self._is_read[shard] = True
            if _is_known(self._files, shard, self._shards[shard]):
                return
            self._waiting.put(shard)
            if self._thread is None:
                self._thread = threading.Thread(target=self._check_all, name="pack-check", daemon=True)
                self._thread.start()

    def _check_all(self) -> None:
        """Check all files that wait; the thread's work."""
        with suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        while True:
            with self._lock:
                if self._waiting.empty():
                    self._thread = None
                    return
                shard = self._waiting.get()
            try:
                if self.fault is None:
                    self.check(shard)
            finally:
                self._waiting.task_done()

    def check(self, shard: int) -> None:
        """Check a file; what is wrong with it is `fault`."""
        try:
            compare_content(self._files, shard, self._shards[shard], rest=_REST)
        except DataError as error:
            self.fault = error
        else:
            _remember(self._files, shard, self._shards[shard])


def compare_ends(files: RowFiles, shard: int, about: Shard) -> None:
    """Compare the first and the last row of a file with the manifest. Raises `DataError` where they differ."""
    last = about.rows - 1
    words = np.concatenate([files.words_of(shard, 0, 1), files.words_of(shard, last, last + 1)])
    found = files.record.stored_checksums(words).tolist()
    if found != [about.first, about.last] and (files.record.checksums(words) == found).all():
        raise DataError(f"{files.paths[shard]} is of another pack: its rows are sound, but not this pack's; {FIX}")


def compare_content(files: RowFiles, shard: int, about: Shard, rest: float = 0.0) -> None:
    """Compare a whole file with the manifest. Raises `DataError` where it differs."""
    digest = hashlib.sha256()
    rows = max(1, _PIECE // files.record.bytes)
    for start in range(0, about.rows, rows):
        began = time.monotonic()
        digest.update(files.words_of(shard, start, min(start + rows, about.rows)).data)
        time.sleep(rest * (time.monotonic() - began))

    if digest.hexdigest() != about.sha256:
        raise DataError(f"{files.paths[shard]} is not the file that the manifest names: its SHA-256 differs; {FIX}")
    if files.values is None or about.values is None:
        return

    digest = hashlib.sha256()  # of the values
    for start in range(0, about.values.bytes, _PIECE):
        began = time.monotonic()
        digest.update(files.values.bytes_of(shard, start, min(start + _PIECE, about.values.bytes)))
        time.sleep(rest * (time.monotonic() - began))

    if digest.hexdigest() != about.values.sha256:
        path = files.values.paths[shard]
        raise DataError(f"{path} is not the file that the manifest names: its SHA-256 differs; {FIX}")


# --- what was found sound ---------------------------------------------------------------------------------------------


def _state_of(files: RowFiles, shard: int, about: Shard) -> dict[str, Any]:
    return {
        "path": str(files.paths[shard].absolute()),
        "state": [
            [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns] for status in files.status_of(shard)
        ],
        "sha256": [about.sha256, *([] if about.values is None else [about.values.sha256])],
    }


def _note_of(files: RowFiles, shard: int) -> Path:
    name = hashlib.sha256(str(files.paths[shard].absolute()).encode()).hexdigest()
    return cache_folder("packs") / f"{name[:32]}.json"


def _is_known(files: RowFiles, shard: int, about: Shard) -> bool:
    """Return whether a file was found sound, and has not changed since."""
    try:
        known: Any = json.loads(_note_of(files, shard).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(known == _state_of(files, shard, about))


def _remember(files: RowFiles, shard: int, about: Shard) -> None:
    """Note that a file was found sound; where nothing can be noted, it is checked again next time."""
    with suppress(OSError):
        path = _note_of(files, shard)
        make_folder(path.parent)
        atomic_write(path, json.dumps(_state_of(files, shard, about)).encode(), sync=False)
