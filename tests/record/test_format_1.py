"""Runs that the format before this one recorded: read, shown, repeated and continued as they are."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from epochal import Run, rerun, resume
from epochal.cli import main
from epochal.errors import RunError
from epochal.record.history import read_history
from epochal.record.rows import EvaluationRow
from epochal.record.run_record import RunRecord

HERE = Path(__file__).parent / "format_1"
WEIGHTS = {
    "finished": "b6d7bf1abe78d6f6a25786e9a0ef4137dd77c41fcd002e3721bce1031a40b593",
    "stopped": "dd4636eda02eed3229dac7f078400b024845183484f9a370d10402cfefcefad2",
    "regression": "18fcb194fa37a4581bacb97cd4e0da67fa781ee4e5da10bdf862b04cd38b1aed",
}


@pytest.fixture
def runs(workplace: Path) -> Path:
    """The runs and their data, in the current folder, to be changed."""
    shutil.copytree(HERE, workplace, dirs_exist_ok=True)
    return workplace


def version_of(path: Path) -> str:
    with sqlite3.connect(path) as database:
        (version,) = database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    database.close()
    return str(version)


@pytest.mark.parametrize("name", WEIGHTS)
def test_they_are_read_without_being_changed(name: str, runs: Path) -> None:
    before = {path: path.read_bytes() for path in (runs / name).rglob("*") if path.is_file()}
    record = RunRecord.read(runs / name, check=True)
    assert record.checkpoint().weights_sha256 == WEIGHTS[name]
    assert record.to_dict()["weights_sha256"] == WEIGHTS[name]
    assert main(["show", str(runs / name)]) == 0
    assert {path: path.read_bytes() for path in (runs / name).rglob("*") if path.is_file()} == before
    assert version_of(runs / name / "history.db") == "1"


def test_a_finished_one(runs: Path) -> None:
    record = RunRecord.read(runs / "finished")
    assert record.status == "finished"
    assert (record.position.iteration, record.position.epoch) == (18, 3)
    assert record.config.momentum == 0.9
    assert record.config.weight_decay is None, "which momentum does not have"
    assert [row.test_accuracy for row in record.history.epochs] == [row.accuracy for row in record.history.tests]
    assert all(row.is_exact for row in record.history.epochs)
    assert [snapshot.iteration for snapshot in Run.open(runs / "finished").snapshots] == [0, 6, 12, 18]


def test_a_regression_has_a_loss_and_no_accuracy(runs: Path) -> None:
    tests = RunRecord.read(runs / "regression").history.tests
    assert [list(row.metrics) for row in tests] == [["loss"]] * 4


def test_one_with_changes_stands_where_it_was_stopped(runs: Path) -> None:
    record = RunRecord.read(runs / "stopped")
    assert record.status == "stopped"
    assert (record.position.iteration, record.position.epoch, record.position.offset) == (11, 2, 14)
    assert record.recorded == record.position
    assert [change.options for change in record.file.changes] == [{"batch_size": 7, "lr": 0.02}]


@pytest.mark.parametrize("name", ["finished", "stopped"])
def test_repeated_they_give_the_same_weights(name: str, runs: Path) -> None:
    assert rerun(runs / name, runs / "again", data="little.npz").is_same


@pytest.mark.parametrize("name", ["stopped", "finished"])
def test_continued_they_end_as_a_run_of_today_does(name: str, runs: Path) -> None:
    """The history becomes one of this format, with every row that it had."""
    path = runs / name / "history.db"
    before = read_history(path)
    budget = {} if name == "stopped" else {"epochs": 5}
    continued = resume(runs / name, data="little.npz", **budget)
    assert continued.status == "finished"
    assert version_of(path) == "3"

    after = read_history(path, check=True)
    assert after.losses[: before.losses.size].tobytes() == before.losses.tobytes()
    assert after.evaluations[: len(before.evaluations)] == before.evaluations
    assert after.epochs[: len(before.epochs)] == before.epochs
    assert rerun(runs / name, runs / "again", data="little.npz").is_same


def test_a_row_of_the_old_table_that_was_altered_is_seen(runs: Path) -> None:
    with sqlite3.connect(runs / "finished" / "history.db") as database:
        database.execute("UPDATE evaluations SET accuracy = 1.0 WHERE iteration = 6")
    database.close()
    for use in (lambda: RunRecord.read(runs / "finished"), lambda: resume(runs / "finished", epochs=5)):
        with pytest.raises(RunError, match="a row of evaluations is not as it was written"):
            use()
    assert version_of(runs / "finished" / "history.db") == "1", "and not carried over"


def test_values_that_are_no_numbers_are_carried_over(runs: Path) -> None:
    """A NaN is NULL in both formats, and its row's checksum is that of the new row."""
    from epochal.record.schema import checksum
    from epochal.record.writer import HistoryWriter

    path = runs / "regression" / "history.db"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE evaluations SET loss = NULL, crc32 = ?", (checksum([4, "test", 4, None, None]),))
        database.execute("DELETE FROM evaluations WHERE iteration != 4")
    database.close()
    with HistoryWriter(path):
        pass
    (row,) = read_history(path).evaluations
    assert (row.iteration, row.samples) == (4, 4)
    assert row.metrics.keys() == {"loss"}
    assert row.loss != row.loss
    assert isinstance(row, EvaluationRow)
    assert os.path.getsize(path) > 0
