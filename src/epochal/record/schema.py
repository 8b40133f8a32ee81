"""The tables of `history.db` and the checksums of their rows. `docs/run-folder.md` describes them for other tools.

Version 1 had a table ``evaluations`` with a column each for loss and accuracy in place of ``metrics``, and version 2
neither ``noise`` nor ``gradients``: they are read as they are, and become this version when somebody writes to them.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

from epochal.errors import RunError
from epochal.record.fields import (
    Field,
    content,
    matching,
    moment,
    optional,
    plain,
    real,
    table,
    text,
    whole,
    word,
)

SCHEMA_VERSION = 3
STATUSES = ("running", "finished", "stopped", "changed", "diverged", "failed", "interrupted")
"""What a session can say of itself."""

METRICS = """
CREATE TABLE metrics (
    iteration INTEGER NOT NULL,
    split TEXT NOT NULL,
    metric TEXT NOT NULL,          -- loss, accuracy, …; NAME/CLASS for one class's
    value REAL,
    samples INTEGER NOT NULL,      -- that it was measured on, each once
    crc32 INTEGER NOT NULL,
    PRIMARY KEY (iteration, split, metric)
) STRICT;
"""

NOISE = (
    """
CREATE TABLE noise (
    first INTEGER PRIMARY KEY,     -- the block's first measured iteration, counted from 0
    every INTEGER NOT NULL,        -- from one measured iteration to the next
    samples INTEGER NOT NULL,      -- of both halves of a batch together
    sums BLOB NOT NULL,            -- float32, little-endian, two for each: |g1 - g2|^2 and |(g1 + g2) / 2|^2
    crc32 INTEGER NOT NULL         -- of the other values, with the CRC-32 of sums in their place
) STRICT;
""",
    """
CREATE TABLE gradients (
    iteration INTEGER PRIMARY KEY,
    samples INTEGER NOT NULL,      -- that the gradient is the mean over
    square REAL,                   -- its squared norm
    error REAL,                    -- one standard error of that; 0 for the whole training set
    crc32 INTEGER NOT NULL
) STRICT;
""",
)

SCHEMA = f"""
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
    expected_hash TEXT NOT NULL,
    crc32 INTEGER NOT NULL         -- of the row's other values, as a JSON array
) STRICT;
{METRICS}{"".join(NOISE)}CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,         -- UTC, ISO 8601
    first_iteration INTEGER NOT NULL,
    end_iteration INTEGER NOT NULL,
    seconds REAL NOT NULL,         -- from the start of training to the last commit
    chunk_seconds REAL NOT NULL,   -- of these, in training chunks
    status TEXT NOT NULL,          -- running, finished, stopped, changed, diverged, failed
    crc32 INTEGER NOT NULL         -- without the id
) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,            -- UTC, ISO 8601
    iteration INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,          -- JSON
    crc32 INTEGER NOT NULL         -- without the id
) STRICT;
"""


_FORMER = """
CREATE TABLE evaluations (
    iteration INTEGER NOT NULL, split TEXT NOT NULL, samples INTEGER NOT NULL, loss REAL, accuracy REAL,
    crc32 INTEGER NOT NULL, PRIMARY KEY (iteration, split)
) STRICT;
"""

_COUNT, _LOSS, _SECONDS = whole(), optional(real(infinite=True)), real(least=0.0, most=1e12)
_NAME, _TIME = text(1000), moment()
_HASH = matching(r"[0-9a-f]{1,64}", "a hash")
COLUMNS: dict[str, dict[str, Field]] = {
    "iterations": {"first": _COUNT, "count": whole(1), "losses": content(), "crc32": _COUNT},
    "epochs": {
        "epoch": whole(1),
        "end_iteration": _COUNT,
        "iterations": _COUNT,
        "samples": _COUNT,
        "expected_samples": _COUNT,
        "complete": whole(0, 1),
        "train_loss": _LOSS,
        "seconds": _SECONDS,
        "audit_hash": _HASH,
        "expected_hash": _HASH,
    },
    "metrics": {"iteration": _COUNT, "split": _NAME, "metric": _NAME, "value": _LOSS, "samples": _COUNT},
    "evaluations": {"iteration": _COUNT, "split": _NAME, "samples": _COUNT, "loss": _LOSS, "accuracy": _LOSS},
    "sessions": {
        "started": _TIME,
        "first_iteration": _COUNT,
        "end_iteration": _COUNT,
        "seconds": _SECONDS,
        "chunk_seconds": _SECONDS,
        "status": word(*STATUSES),
    },
    "noise": {"first": _COUNT, "every": whole(1), "samples": whole(2), "sums": content(), "crc32": _COUNT},
    "gradients": {"iteration": _COUNT, "samples": whole(1), "square": _LOSS, "error": _LOSS},
    "events": {"time": _TIME, "iteration": _COUNT, "kind": _NAME, "detail": text(10_000_000)},
}
"""What each column of a table may hold, whatever its type in the file is."""
DETAIL = table({}, {"hosts": table({}, others=whole(1)), "at_once": whole(1)}, others=plain())
"""What the detail of an event may hold."""


def _normal(sql: str) -> str:
    """Return a statement without comments, and with single blanks: two that are the same make the same table."""
    return " ".join(re.sub(r"--[^\n]*", " ", sql).split()).rstrip(";").replace("( ", "(").replace(" )", ")")


_TABLES = frozenset(f"{_normal(one)}" for one in f"{SCHEMA}{_FORMER}".split(";\n") if one.strip())


def check_tables(database: sqlite3.Connection) -> None:
    """Raise `ValueError` for anything but the tables of a history: what a view or a trigger computes may never end."""
    for kind, name, sql in database.execute("SELECT type, name, sql FROM sqlite_master"):
        is_own_index = kind == "index" and sql is None
        if not is_own_index and not (kind == "table" and _normal(str(sql)) in _TABLES):
            raise ValueError(f"{kind} {name!r:.60} is none that a history has")


def check_row(table: str, row: dict[str, Any]) -> None:
    """Raise `ValueError` where a column of a row holds what it never does."""
    for name, field in COLUMNS[table].items():
        if not field.holds(row[name]):
            field.require(f"{table}.{name}", row[name])


def stored(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values as SQLite gives them back: no NaN, no negative zero, no booleans.

    >>> stored([math.nan, -0.0, True, "x"])
    (None, 0.0, 1, 'x')
    """
    return tuple(_stored(value) for value in values)


def _stored(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else float(value) + 0.0
    return int(value) if isinstance(value, bool) else value


_compact = json.JSONEncoder(separators=(",", ":")).encode  # one encoder for all rows: a history has thousands


def checksum(values: Iterable[Any]) -> int:
    """Return the CRC-32 of a row's stored values, as a compact JSON array."""
    return crc32(_compact(list(values)).encode())


def migrate(database: sqlite3.Connection, version: int) -> None:
    """Bring a history of an earlier version to this one, within the transaction that is open."""
    if version < 2:
        _evaluations_to_metrics(database)
    if version < 3:
        for statement in NOISE:
            database.execute(statement)
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(SCHEMA_VERSION),))


def _evaluations_to_metrics(database: sqlite3.Connection) -> None:
    database.execute(METRICS)
    for iteration, split, samples, loss, accuracy in database.execute(
        "SELECT iteration, split, samples, loss, accuracy FROM evaluations"
    ).fetchall():
        values = {"loss": loss, "accuracy": accuracy} if accuracy is not None else {"loss": loss}
        for metric, value in values.items():
            row = (iteration, split, metric, value, samples)
            database.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", (*row, checksum(row)))

    database.execute("DROP TABLE evaluations")


_NO_LOCK = (sqlite3.SQLITE_IOERR_RDLOCK, sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK)


@contextmanager
def as_run_error(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a `RunError` that says whether the file is damaged or only cannot be used."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # two rows for one thing: a bug, not the file's fault
    except sqlite3.DatabaseError as error:
        what = " ".join(str(error).split())
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_INTERRUPT:
            raise RunError(f"{path} is damaged: to read it takes longer than its size explains") from error
        if code & 0xFF == sqlite3.SQLITE_BUSY or code in _NO_LOCK:
            raise RunError(
                f"cannot lock {path}: {what}; another program keeps it to itself, or its disk has no locks"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            raise RunError(f"cannot use {path}: {what}; is the disk full, or the folder read-only?") from error
        raise RunError(f"{path} is damaged or no history: {what}") from error
