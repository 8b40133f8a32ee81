from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from zlib import crc32

import pytest

from epochal.errors import RunError
from epochal.record.schema import as_run_error, checksum, stored


def test_what_sqlite_gives_back() -> None:
    values = (1, 2.5, math.nan, -0.0, math.inf, None, "ä", True)
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a INT, b REAL, c REAL, d REAL, e REAL, f REAL, g TEXT, h INT) STRICT")
        database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        (row,) = database.execute("SELECT * FROM t")
    database.close()
    assert row == stored(values) == (1, 2.5, None, 0.0, math.inf, None, "ä", 1)
    assert math.copysign(1, stored([-0.0])[0]) == 1


def test_a_checksum_can_be_computed_by_hand() -> None:
    assert checksum([1, 0.5, None, "x"]) == crc32(b'[1,0.5,null,"x"]')


def test_damage_is_told_from_trouble(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"no database at all, but long enough to have a header of a hundred bytes and some more" * 3)
    with pytest.raises(RunError, match="damaged or no history"), as_run_error(path):
        sqlite3.connect(path).execute("SELECT * FROM meta")
    with pytest.raises(RunError, match=r"cannot use .*unable to open"), as_run_error(path):
        sqlite3.connect(tmp_path / "no" / "such" / "folder")


def test_two_rows_for_one_thing_are_a_bug_and_no_damage(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError), as_run_error(tmp_path):
        sqlite3.connect(":memory:").executescript(
            "CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (1)"
        )
