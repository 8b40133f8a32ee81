from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from epochal import Run
from epochal.errors import RunError
from epochal.record.history import count_iterations, read_history, read_increment
from epochal.record.rows import EvaluationRow, best_evaluation
from epochal.record.writer import HistoryWriter


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"history.db does not exist; is .* a run folder\?"):
        read_history(tmp_path / "history.db")


def test_a_later_schema_is_refused(run: Run) -> None:
    with sqlite3.connect(run.folder.history_db) as database:
        database.execute("UPDATE meta SET value = '4' WHERE key = 'schema_version'")
    database.close()
    with pytest.raises(RunError, match=r"has schema version 4; this Epochal reads up to 3: update it"):
        Run.open(run.path)


def test_another_tools_database_is_no_history(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "history.db") as database:
        database.execute("CREATE TABLE notes (text TEXT)")
    database.close()
    with pytest.raises(RunError, match="is damaged: table 'notes' is none that a history has"):
        read_history(tmp_path / "history.db")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE epochs SET train_loss = 0.1 WHERE epoch = 2",
        "UPDATE metrics SET value = 1.0 WHERE metric = 'accuracy'",
        "UPDATE metrics SET metric = 'f1' WHERE metric = 'accuracy'",
        "UPDATE events SET detail = '{}' WHERE detail != '{}'",
        "UPDATE sessions SET seconds = 1.0",
        "UPDATE iterations SET losses = zeroblob(length(losses))",
        "UPDATE iterations SET count = count - 1",
        "UPDATE iterations SET first = -first - 1",
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_seen(run: Run, change: str) -> None:
    read_history(run.folder.history_db, check=True)
    with sqlite3.connect(run.folder.history_db) as database:
        database.execute(change)
    database.close()
    with pytest.raises(RunError, match=r"history.db is damaged: .* (is|are) (not as|-18, not a whole number)"):
        read_history(run.folder.history_db, check=True)


def test_a_gap_is_seen(quick_path: Path) -> None:
    with HistoryWriter(quick_path / "history.db") as writer:
        writer.add_losses(0, np.zeros(3, np.float32))
        writer.add_losses(4, np.zeros(3, np.float32))
    assert count_iterations(quick_path / "history.db") == 3
    with pytest.raises(RunError, match="the losses from iteration 3 on"):
        read_history(quick_path / "history.db")


def test_the_best_validation_has_the_highest_accuracy_and_then_the_lowest_loss() -> None:
    rows = [
        EvaluationRow(1, "validation", 10, {"loss": 0.5, "accuracy": 0.8}),
        EvaluationRow(2, "validation", 10, {"loss": 0.4, "accuracy": 0.9}),
        EvaluationRow(3, "validation", 10, {"loss": 0.3, "accuracy": 0.9}),
        EvaluationRow(4, "validation", 10, {"loss": float("nan"), "accuracy": 0.9}),
        EvaluationRow(5, "train", 10, {"loss": 0.1, "accuracy": 1.0}),
    ]
    best = best_evaluation(rows)
    assert best is not None
    assert best.iteration == 3
    regression = [EvaluationRow(i, "test", 10, {"loss": loss}) for i, loss in enumerate((0.5, float("nan"), 0.4))]
    assert min(regression, key=EvaluationRow.sort_key).iteration == 2


def test_the_test_set_selects_nothing() -> None:
    assert best_evaluation([EvaluationRow(5, "test", 10, {"loss": 0.1, "accuracy": 1.0})]) is None


def test_those_who_follow_a_run_read_what_is_new(run: Run) -> None:
    history = run.history
    new = read_increment(run.folder.history_db, iterations=7, epoch=1, tested=6)
    assert new.first <= 7
    assert new.losses.tobytes() == history.losses[new.first :].tobytes()
    assert [row.epoch for row in new.epochs] == [2, 3]
    assert [row.iteration for row in new.evaluations] == [12, 18]
    assert (new.iterations, new.samples) == (6, 23)


def test_the_history_of_a_run(run: Run) -> None:
    history = run.history
    assert [(row.epoch, row.end_iteration, row.iterations, row.samples) for row in history.epochs] == [
        (1, 6, 6, 23),
        (2, 12, 6, 23),
        (3, 18, 6, 23),
    ]
    assert all(row.is_exact for row in history.epochs)
    assert [row.iteration for row in history.evaluations] == [6, 12, 18]
    assert [event.kind for event in history.events] == ["started", "finished"]
    sizes = np.tile([4, 4, 4, 4, 4, 3], 3)
    means = [np.average(history.losses[i : i + 6].astype(float), weights=sizes[:6]) for i in (0, 6, 12)]
    np.testing.assert_allclose([row.train_loss for row in history.epochs], means, rtol=1e-12)
