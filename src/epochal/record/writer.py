"""The one writer of a run's history: rows in transactions, each commit forced to the disk."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from zlib import crc32

import numpy as np
from jaxtyping import Float32

from epochal.errors import RunError
from epochal.files import atomic_write
from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.held_folder import HeldFolder
from epochal.record.database import check_files, opened
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.record.schema import SCHEMA, SCHEMA_VERSION, as_run_error, checksum, migrate, stored


class HistoryWriter:
    """Writes a run's history; what is not committed is lost with the process, and only that.

    While it is open, the file is in SQLite's WAL mode, so that readers are never in the way; a commit survives a loss
    of power. Closed, it is one plain file, which opens on a read-only disk too.

    It belongs to the process that opened it: SQLite's files do not survive two that think so. A forked child that comes
    here is refused, and leaves everything as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process = os.getpid()
        self._session: tuple[int, str, int] | None = None

        self._check_files()
        if path.exists():
            with opened(path):  # which looks at what it holds before anything of it is written
                pass
        else:
            _create(path)

        with as_run_error(path):
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._place = path.absolute()  # whatever the process's folder becomes
            self._file = os.stat(path)

            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("BEGIN")
            (version,) = self._database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            migrate(self._database, int(version))

    def _check_files(self) -> None:
        """Raise `RunError` for what SQLite would write to, or delete, elsewhere."""
        try:
            with HeldFolder.open(self.path.parent) as folder:
                check_files(folder, self.path.name)
                if folder.names_of(self.path.name) > 1:
                    raise OSError(errno.EMLINK, "it has another name, too (a hard link), which would change with it")
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}") from error

    def __enter__(self) -> HistoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit and leave one plain file; an error that is already on its way is not replaced by one from here."""
        if os.getpid() != self._process:
            self._never_close()
            return
        try:
            self._finish()
        except RunError:
            if kind is None:
                raise
        finally:
            self._close()

    def _close(self) -> None:
        """Close the file, unless it was moved and another one has its name.

        SQLite ends by deleting the log under the name that the file had, which is the other one's by now. What is
        committed is complete as it lies.
        """
        if self._place.exists() and not self._is_in_place():
            self._never_close()
            return
        self._database.close()

    def _never_close(self) -> None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._database))  # or Python closes it at its own end

    def _is_in_place(self) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.stat(self._place), self._file)
        return False

    def _finish(self) -> None:
        with as_run_error(self.path):
            if self._database.in_transaction:
                self._database.execute("COMMIT")
            if not self._is_in_place():
                return
            self._database.execute("PRAGMA busy_timeout = 200")
            with suppress(
                sqlite3.OperationalError
            ):  # somebody is reading: it stays in WAL mode, as good but for a -shm
                self._database.execute("PRAGMA journal_mode = DELETE")

    def start_session(self, iteration: int) -> None:
        """Begin this process's row."""
        started = _now()
        cursor = self._insert("sessions", (started, iteration, iteration, 0.0, 0.0, "running"), "NULL, ")
        self._session = (int(cursor.lastrowid or 0), started, iteration)

    def update_session(self, iteration: int, seconds: float, chunk_seconds: float, status: str) -> None:
        """Bring this process's row up to date."""
        if self._session is None:
            return
        number, started, first = self._session
        values = stored((started, first, iteration, seconds, chunk_seconds, status))
        self._execute(
            "UPDATE sessions SET end_iteration = ?, seconds = ?, chunk_seconds = ?, status = ?, crc32 = ? WHERE id = ?",
            (*values[2:], checksum(values), number),
        )

    def add_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Add a block of iterations' losses, the first of them that of iteration ``first`` (from 0)."""
        if not losses.size:
            return
        content = losses.astype("<f4").tobytes()
        self._execute("INSERT INTO iterations VALUES (?, ?, ?, ?)", (first, losses.size, content, crc32(content)))

    def add_epoch(self, row: EpochRow) -> None:
        """Add an epoch's row; its test metrics belong to the evaluation at its end. Replaces a row cut short."""
        names = [item.name for item in fields(row) if item.name != "test"]
        self._insert("epochs", tuple(getattr(row, name) for name in names))

    def add_evaluation(self, row: EvaluationRow) -> None:
        """Add an evaluation; the same one again, after a resume, replaces it."""
        for metric, value in row.metrics.items():
            self._insert("metrics", (row.iteration, row.split, metric, value, row.samples))

    def add_noise(self, block: NoiseBlock) -> None:
        """Add what some iterations measured; nothing for none."""
        if len(block.sums):
            content = block.sums.astype("<f4").tobytes()
            values = (block.first, block.every, block.samples)
            crc = checksum((*values, crc32(content)))
            self._execute("INSERT INTO noise VALUES (?, ?, ?, ?, ?)", (*values, content, crc))

    def add_gradient(self, gradient: LargeGradient) -> None:
        """Add the gradient of an evaluation; the same one again, after a resume, replaces it."""
        self._insert("gradients", (gradient.iteration, gradient.samples, gradient.square, gradient.error))

    def add_event(self, iteration: int, kind: str, **detail: Any) -> None:
        """Add an event with the present time."""
        self._insert("events", (_now(), iteration, kind, json.dumps(detail)), "NULL, ")

    def commit(self) -> None:
        """Make everything so far survive this process and a loss of power."""
        self._check_process()
        with as_run_error(self.path):
            self._database.execute("COMMIT")
            self._database.execute("BEGIN")
        if not self._is_in_place() and (self._place.parent / "run.toml").exists():
            raise RunError(f"{self.path} was removed or replaced while the run was trained, so training stops")

    def roll_back(self, iteration: int) -> None:
        """Forget, in one transaction, what was recorded after so many iterations; sessions and events stay."""
        cut = "SELECT first, losses FROM iterations WHERE first < ? AND first + count > ?"
        across = self._execute(cut, (iteration, iteration)).fetchall()
        self._execute("DELETE FROM iterations WHERE first + count > ?", (iteration,))
        for first, losses in across:
            self.add_losses(first, np.frombuffer(losses, "<f4")[: iteration - first])
        self._execute("DELETE FROM epochs WHERE end_iteration > ? OR NOT complete", (iteration,))
        self._execute("DELETE FROM metrics WHERE iteration > ?", (iteration,))
        self._roll_back_noise(iteration)
        self.commit()

    def _roll_back_noise(self, iteration: int) -> None:
        rows = self._execute("SELECT first, every, samples, sums FROM noise", ()).fetchall()
        for first, every, samples, sums in rows:
            block = NoiseBlock(first, every, samples, np.frombuffer(sums, "<f4").reshape(-1, 2))
            if block.last >= iteration:
                self._execute("DELETE FROM noise WHERE first = ?", (first,))
                self.add_noise(block.within(0, iteration))
        self._execute("DELETE FROM gradients WHERE iteration > ?", (iteration,))

    def _insert(self, table: str, values: tuple[Any, ...], identity: str = "") -> sqlite3.Cursor:
        values = stored(values)
        marks = ", ".join("?" * (len(values) + 1))
        return self._execute(f"INSERT OR REPLACE INTO {table} VALUES ({identity}{marks})", (*values, checksum(values)))

    def _execute(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        self._check_process()
        with as_run_error(self.path):
            return self._database.execute(sql, values)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RunError(
                f"{self.path} is written by process {self._process}, which this one was forked from; let a forked "
                "child end by os._exit, or start it by multiprocessing.get_context('spawn')"
            )


def _create(path: Path) -> None:
    """Write an empty history as a whole, so that there is never half of one."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),))
        database.commit()
        content = database.serialize()
    try:
        atomic_write(path, content)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
