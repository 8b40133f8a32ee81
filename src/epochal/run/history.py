"""A run's history: an SQLite file that any tool opens. `docs/run-folder.md` describes its tables.

Losses are kept in blocks of iterations, as little-endian float32. Readers and the one writer may work at once.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import numpy as np
from jaxtyping import Float32

from epochal.errors import RunError
from epochal.run.events import EpochRow

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE iterations (
    first INTEGER PRIMARY KEY,     -- the block's first iteration, counted from 0
    count INTEGER NOT NULL,
    losses BLOB NOT NULL,          -- count float32, little-endian: mean loss of each batch before its update
    crc32 INTEGER NOT NULL         -- of losses
) STRICT;
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,     -- epochs complete with this one, from 1
    end_iteration INTEGER NOT NULL,
    iterations INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    expected_samples INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    train_loss REAL,
    seconds REAL NOT NULL,
    audit_hash TEXT NOT NULL,
    expected_hash TEXT NOT NULL
) STRICT;
CREATE TABLE evaluations (
    iteration INTEGER NOT NULL,
    split TEXT NOT NULL,
    samples INTEGER NOT NULL,
    loss REAL,
    accuracy REAL,
    PRIMARY KEY (iteration, split)
) STRICT;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,         -- UTC, ISO 8601
    first_iteration INTEGER NOT NULL,
    end_iteration INTEGER NOT NULL,
    seconds REAL NOT NULL,         -- from the start of training to the last commit
    chunk_seconds REAL NOT NULL,   -- of these, in training chunks
    status TEXT NOT NULL           -- running, finished, stopped, diverged, failed
) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,            -- UTC, ISO 8601
    iteration INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL           -- JSON
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """An evaluation of a split after ``iteration`` iterations: means over each of its samples once."""

    iteration: int
    split: str
    samples: int
    loss: float
    accuracy: float | None

    def badness(self) -> tuple[float, float]:
        """Return what the better of two evaluations has less of."""
        return (-(self.accuracy or 0.0), math.inf if math.isnan(self.loss) else self.loss)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One process's work on the run."""

    id: int
    started: str
    first_iteration: int
    end_iteration: int
    seconds: float
    chunk_seconds: float
    status: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened: started, resumed, stopped, changed, warned."""

    time: str
    iteration: int
    kind: str
    detail: dict[str, Any]


class History:
    """Reads a run's history; each property is read from the file when asked for.

    Raises `RunError` where the file is missing, no history, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise RunError(f"{path} does not exist; is {path.parent} a run folder?")
        with self._reading() as database:
            (version,) = database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
        if int(version) > SCHEMA_VERSION:
            raise RunError(f"{path} has schema version {version}; this Epochal reads up to {SCHEMA_VERSION}: update it")

    def check(self) -> None:
        """Read everything once. Raises `RunError` where any of it is damaged."""
        (health,) = self._query("PRAGMA quick_check(1)")
        if health["quick_check"] != "ok":
            raise RunError(f"{self.path} is damaged: {health['quick_check']}")
        assert self.losses.size >= 0

    @property
    def iterations(self) -> int:
        """How many iterations it holds from the first on without a gap."""
        count = 0
        for row in self._query("SELECT first, count FROM iterations ORDER BY first"):
            if row["first"] != count:
                break
            count += row["count"]
        return count

    def best_evaluation(self) -> EvaluationRow | None:
        """Return the test evaluation with the highest accuracy, or the lowest loss where there is no accuracy."""
        rows = [row for row in self.evaluations if row.split == "test"]
        return min(rows, key=EvaluationRow.badness, default=None)

    @property
    def losses(self) -> Float32[np.ndarray, " iterations"]:
        """The loss of every iteration, in order: the mean over its batch before its update."""
        rows = self._query("SELECT first, count, losses, crc32 FROM iterations ORDER BY first")
        for row in rows:
            if len(row["losses"]) != 4 * row["count"] or crc32(row["losses"]) != row["crc32"]:
                raise RunError(
                    f"{self.path} is damaged: the losses from iteration {row['first']:,} on are not as written"
                )
        return np.frombuffer(b"".join(row["losses"] for row in rows), "<f4").astype(np.float32, copy=False)

    @property
    def epochs(self) -> tuple[EpochRow, ...]:
        """A row for each complete epoch, and one for a last epoch that the budget cut short."""
        rows = self._query(
            "SELECT epoch, end_iteration, iterations, epochs.samples, expected_samples, complete, train_loss,"
            " loss AS test_loss, accuracy AS test_accuracy, seconds, audit_hash, expected_hash"
            " FROM epochs LEFT JOIN evaluations ON evaluations.iteration = end_iteration AND split = 'test'"
            " ORDER BY epoch"
        )
        return tuple(
            EpochRow(**{**row, "complete": bool(row["complete"]), "train_loss": _number(row["train_loss"])})
            for row in rows
        )

    @property
    def evaluations(self) -> tuple[EvaluationRow, ...]:
        """Every evaluation, by iteration."""
        rows = self._query(
            "SELECT iteration, split, samples, loss, accuracy FROM evaluations ORDER BY iteration, split"
        )
        return tuple(EvaluationRow(**{**row, "loss": _number(row["loss"])}) for row in rows)

    @property
    def sessions(self) -> tuple[SessionRow, ...]:
        """The processes that worked on the run, in order."""
        return tuple(SessionRow(**row) for row in self._query("SELECT * FROM sessions ORDER BY id"))

    @property
    def last_status(self) -> str | None:
        """How the last session ended, by its own account; ``None`` before the first."""
        rows = self._query("SELECT status FROM sessions ORDER BY id DESC LIMIT 1")
        return str(rows[0]["status"]) if rows else None

    @property
    def events(self) -> tuple[EventRow, ...]:
        """What happened, in order."""
        rows = self._query("SELECT time, iteration, kind, detail FROM events ORDER BY id")
        return tuple(EventRow(**{**row, "detail": json.loads(row["detail"])}) for row in rows)

    def _query(self, sql: str) -> list[dict[str, Any]]:
        with self._reading() as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql)]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with (
            _as_run_error(self.path),
            _closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as database,
        ):
            yield database


class HistoryWriter:
    """Writes a run's history; what is not committed is lost with the process, and only that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = 0
        with _as_run_error(path):
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("BEGIN")
            if not self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _SCHEMA.split(";\n"):
                    self._database.execute(statement)
                self._database.execute("INSERT INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),))
        self.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Commit and leave one plain file."""
        with _as_run_error(self.path):
            self._database.execute("COMMIT")
            self._database.close()

    def start_session(self, iteration: int) -> None:
        """Begin this process's row."""
        row = (_now(), iteration, iteration, 0.0, 0.0, "running")
        cursor = self._execute("INSERT INTO sessions VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
        self._session = int(cursor.lastrowid or 0)

    def update_session(self, iteration: int, seconds: float, chunk_seconds: float, status: str) -> None:
        """Bring this process's row up to date."""
        self._execute(
            "UPDATE sessions SET end_iteration = ?, seconds = ?, chunk_seconds = ?, status = ? WHERE id = ?",
            (iteration, seconds, chunk_seconds, status, self._session),
        )

    def add_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Add a block of iterations' losses, the first of them that of iteration ``first`` (from 0)."""
        content = losses.astype("<f4").tobytes()
        self._execute("INSERT INTO iterations VALUES (?, ?, ?, ?)", (first, losses.size, content, crc32(content)))

    def add_epoch(self, row: EpochRow) -> None:
        """Add an epoch's row; the test results belong to the evaluation at its end. Replaces a row cut short."""
        values = {field.name: getattr(row, field.name) for field in fields(row)}
        del values["test_loss"], values["test_accuracy"]
        marks = ", ".join("?" * len(values))
        self._execute(f"INSERT OR REPLACE INTO epochs ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))

    def add_evaluation(self, row: EvaluationRow) -> None:
        """Add an evaluation; the same one again, after a resume, replaces it."""
        values = (row.iteration, row.split, row.samples, row.loss, row.accuracy)
        self._execute("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?)", values)

    def add_event(self, iteration: int, kind: str, **detail: Any) -> None:
        """Add an event with the present time."""
        values = (_now(), iteration, kind, json.dumps(detail))
        self._execute("INSERT INTO events VALUES (NULL, ?, ?, ?, ?)", values)

    def commit(self, *, durably: bool = False) -> None:
        """Make everything so far survive this process, and if ``durably`` a loss of power as well."""
        with _as_run_error(self.path):
            self._database.execute("COMMIT")
            if durably:
                self._database.execute("PRAGMA wal_checkpoint(FULL)")
            self._database.execute("BEGIN")

    def roll_back(self, iteration: int) -> None:
        """Forget, in one transaction, what was recorded after so many iterations; sessions and events stay."""
        cut = "SELECT first, losses FROM iterations WHERE first < ? AND first + count > ?"
        across = self._execute(cut, (iteration, iteration)).fetchall()
        self._execute("DELETE FROM iterations WHERE first + count > ?", (iteration,))
        for first, losses in across:
            self.add_losses(first, np.frombuffer(losses, "<f4")[: iteration - first])
        self._execute("DELETE FROM epochs WHERE end_iteration > ? OR NOT complete", (iteration,))
        self._execute("DELETE FROM evaluations WHERE iteration > ?", (iteration,))
        self.commit(durably=True)

    def _execute(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        with _as_run_error(self.path):
            return self._database.execute(sql, values)


@contextmanager
def _as_run_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise RunError(f"cannot use {path}: {error}; is the disk full, or the folder read-only?") from error
    except (sqlite3.DatabaseError, TypeError) as error:
        raise RunError(f"{path} is damaged or no history: {error}") from error


@contextmanager
def _closing(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield database
    finally:
        database.close()


def _number(value: float | None) -> float:
    """SQLite keeps a NaN as NULL."""
    return float("nan") if value is None else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
