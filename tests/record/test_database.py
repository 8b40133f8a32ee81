"""A history from a stranger: SQLite computes nothing of it, touches nothing outside, and reading it ends."""

from __future__ import annotations

import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from epochal.errors import RunError
from epochal.record.database import Bounds, bound
from epochal.record.history import count_iterations, read_history, read_increment
from epochal.record.writer import HistoryWriter


@pytest.fixture
def history(quick_path: Path) -> Path:
    """A history of some iterations."""
    path = quick_path / "history.db"
    with HistoryWriter(path) as writer:
        writer.start_session(0)
        writer.add_losses(0, np.ones(10, np.float32))
        writer.add_event(10, "finished")
    return path


def everything_refuses(path: Path, why: str) -> None:
    started = time.process_time()
    for read in (read_history, count_iterations, lambda at: read_increment(at, iterations=0, epoch=0, tested=-1)):
        with pytest.raises(RunError, match=why) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match=why):
        HistoryWriter(path)
    assert time.process_time() - started < 5


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        yield database


FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT"


@pytest.mark.parametrize(
    "planted",
    [
        f"DROP TABLE iterations; CREATE VIEW iterations AS {FOR_EVER} i AS first, 1 AS count, x'00' AS losses, "
        "0 AS crc32 FROM n",
        "DROP TABLE events; CREATE VIEW events AS SELECT zeroblob(1000000000) AS id",
        "CREATE TRIGGER theirs AFTER INSERT ON events BEGIN DELETE FROM epochs; END",
        "CREATE INDEX theirs ON epochs (hex(zeroblob(100000000)))",
        "CREATE TABLE theirs (a)",
        "DROP TABLE sessions; CREATE TABLE sessions (id INTEGER PRIMARY KEY, started, first_iteration, end_iteration, "
        "seconds, chunk_seconds, status, crc32)",
    ],
)
def test_what_no_history_has_is_refused_before_anything_of_it_is_read(planted: str, history: Path) -> None:
    with changing(history) as database:
        database.executescript(planted)
    everything_refuses(history, "is none that a history has")


def test_a_step_too_many_ends_the_reading() -> None:
    """The control of the bound: without it, this statement would not end."""
    with closing(sqlite3.connect(":memory:")) as database:
        bound(database, Bounds(10_000))
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            database.execute(f"{FOR_EVER} count(*) FROM n").fetchone()


def test_pages_that_name_each_other_hold_no_rows_without_end(history: Path) -> None:
    """An interior page whose children are one leaf, four hundred times: more rows than bytes."""
    with changing(history) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
        (pages,) = database.execute("PRAGMA page_count").fetchone()
    content = bytearray(history.read_bytes())
    leaf = content[(page - 1) * size : page * size]
    looped = bytearray(size)
    cells = 400
    looped[0:12] = struct.pack(">BHHHBI", 5, 0, cells, size - 6 * cells, 0, pages + 1)
    for number in range(cells):
        at = size - 6 * (number + 1)
        looped[12 + 2 * number : 14 + 2 * number] = struct.pack(">H", at)
        looped[at : at + 6] = struct.pack(">IBB", pages + 1, 0x80 | (number >> 7), number & 0x7F)
    content[(page - 1) * size : page * size] = looped
    content += leaf
    content[28:32] = struct.pack(">I", pages + 1)
    history.write_bytes(content)
    started = time.process_time()
    with pytest.raises(RunError, match="damaged"):
        read_history(history)
    with pytest.raises(RunError, match="damaged"):
        read_history(history, check=True)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("ending", ["", "-wal", "-journal"])
def test_a_pipe_or_a_link_in_place_of_a_file_is_named(ending: str, history: Path) -> None:
    path = history.with_name(f"history.db{ending}")
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    everything_refuses(history, "it is no file")
    path.unlink()
    path.symlink_to("/dev/zero")
    everything_refuses(history, "is a symbolic link")


def super_journal(path: Path, victim: Path) -> None:
    """Leave the journal of a transaction over several files, which names a file of the user's."""
    name, pages = str(victim).encode(), path.stat().st_size // 4096
    header = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 0, pages, 512, 4096)
    tail = struct.pack(">I", 1) + name + struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    path.with_name(f"{path.name}-journal").write_bytes(header.ljust(512, b"\0") + tail)


def test_a_journal_that_has_sqlite_delete_a_file_is_refused(history: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    super_journal(history, victim)
    everything_refuses(history, r"history\.db-journal names a file elsewhere, which Epochal never does; remove it")
    assert victim.read_text() == "precious"

    with changing(history) as database:  # the control: SQLite itself does it
        database.execute("SELECT count(*) FROM events").fetchone()
    assert not victim.exists()


def test_a_file_of_holes_is_not_searched(history: Path) -> None:
    with history.open("r+b") as file:
        file.truncate(1 << 40)
    everything_refuses(history, "of which next to none are on the disk")


def test_a_history_with_another_name_is_read_and_not_written(history: Path, tmp_path: Path) -> None:
    other = history.with_name("theirs")
    os.link(history, other)
    before = other.read_bytes()
    assert read_history(history).iterations == 10
    with pytest.raises(RunError, match="it has another name, too"):
        HistoryWriter(history)
    assert other.read_bytes() == before


def test_a_row_without_end_or_of_no_iterations_is_no_loop(history: Path) -> None:
    with changing(history) as database:
        database.execute("UPDATE iterations SET count = 0")
    assert count_iterations(history) == 0
    with pytest.raises(RunError, match=r"iterations.count is 0, not a whole number of at least 1"):
        read_history(history)
