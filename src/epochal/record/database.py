"""A history's file from anywhere, opened to be read: nothing of it is computed, and reading ends.

SQLite runs what a file asks for: views that never end, triggers, expressions in indexes. Pages that name each other
hold rows without end, and a journal can have SQLite delete a file elsewhere. So a file is opened only where it holds a
history's tables and nothing else, and for no more rows and steps than its size has room for.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from epochal.errors import RunError
from epochal.held_folder import HeldFolder
from epochal.record.schema import as_run_error, check_tables

ENDINGS = ("", "-wal", "-shm", "-journal")
"""How the files are called that SQLite works with, after the history's own name."""

_SMALLEST_ROW = 8  # bytes; those of a history have more
_STEPS, _STEPS_A_BYTE, _STEPS_AT_ONCE = 2_000_000, 100, 100_000
_LEAST_LENGTH = 1_000_000  # bytes of a text or block that is always read
_OTHER_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # SQLite's file format, section 3: the end of a journal of several


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file of this size can hold at most."""

    size: int

    @property
    def rows(self) -> int:
        """How many rows of one table."""
        return self.size // _SMALLEST_ROW

    @property
    def steps(self) -> int:
        """How many steps of SQLite's machine reading takes."""
        return _STEPS + _STEPS_A_BYTE * self.size

    def check_rows(self, count: int) -> None:
        """Raise `ValueError` where there are more."""
        if count > self.rows:
            raise ValueError(f"it has more than {self.rows:,} rows, which a file of its size cannot hold")


@contextmanager
def opened(path: Path) -> Iterator[tuple[sqlite3.Connection, Bounds]]:
    """Open a history for reading alone, in one transaction.

    Raises `RunError` where it is missing or damaged, or holds what no history does.
    """
    size = _size_of(path)
    left_undone = path.with_name(f"{path.name}-journal").exists()  # by a lost process: SQLite undoes it
    location = f"{path.absolute().as_uri()}?mode={'rw' if left_undone else 'ro'}"
    bounds = Bounds(size)
    with as_run_error(path), closing(sqlite3.connect(location, uri=True)) as database:
        bound(database, bounds)
        database.execute("BEGIN")  # all that follows is of one moment, whatever a writer does meanwhile
        try:
            check_tables(database)
        except ValueError as error:
            raise RunError(f"{path} is damaged: {error}") from error
        yield database, bounds


def bound(database: sqlite3.Connection, bounds: Bounds) -> None:
    """Let nothing that a file says run, and nothing take longer than its size explains."""
    database.execute("PRAGMA trusted_schema = OFF")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(bounds.size, _LEAST_LENGTH))
    left = iter(range(bounds.steps // _STEPS_AT_ONCE))
    database.set_progress_handler(lambda: next(left, None) is None, _STEPS_AT_ONCE)


def check_files(folder: HeldFolder, name: str) -> int:
    """Return the bytes of a history and its log. Raises `OSError` for a link or a pipe, or a journal of several files.

    SQLite deletes the file that such a journal names, wherever it is. The others are not opened: to close a file lets
    go of all locks that SQLite holds on it in this process.
    """
    sizes = [folder.size_of(name + ending) or 0 for ending in ENDINGS]
    with suppress(FileNotFoundError), folder.open_file(f"{name}-journal") as file:
        file.seek(-min(file.seek(0, os.SEEK_END), len(_OTHER_JOURNAL)), os.SEEK_END)
        if file.read() == _OTHER_JOURNAL:
            raise OSError(errno.EINVAL, f"{name}-journal names a file elsewhere, which Epochal never does; remove it")
    return sum(sizes)


def _size_of(path: Path) -> int:
    try:
        with HeldFolder.open(path.parent) as folder:
            if folder.size_of(path.name) is None:
                raise FileNotFoundError
            return check_files(folder, path.name)
    except FileNotFoundError:
        raise RunError(f"{path} does not exist; is {path.parent} a run folder?") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
