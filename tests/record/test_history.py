from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from epochal import Run
from epochal.errors import RunError
from epochal.record.history import EvaluationRow, History
from epochal.record.writer import HistoryWriter


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"history.db does not exist; is .* a run folder\?"):
        History(tmp_path / "history.db")


def test_a_later_schema_is_refused(run: Run) -> None:
    with sqlite3.connect(run.folder.history_db) as database:
        database.execute("UPDATE meta SET value = '2' WHERE key = 'schema_version'")
    database.close()
    with pytest.raises(RunError, match=r"has schema version 2; this Epochal reads up to 1: update it"):
        _ = run.history


def test_another_tools_database_is_no_history(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "history.db") as database:
        database.execute("CREATE TABLE notes (text TEXT)")
    database.close()
    with pytest.raises(RunError, match="is damaged or no history: no such table: meta"):
        History(tmp_path / "history.db")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE epochs SET train_loss = 0.1 WHERE epoch = 2",
        "UPDATE evaluations SET accuracy = 1.0",
        "UPDATE events SET detail = '{}' WHERE detail != '{}'",
        "UPDATE sessions SET seconds = 1.0",
        "UPDATE iterations SET losses = zeroblob(length(losses))",
        "UPDATE iterations SET count = count - 1",
        "UPDATE iterations SET first = -first - 1",
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_seen(run: Run, change: str) -> None:
    run.history.check()
    with sqlite3.connect(run.folder.history_db) as database:
        database.execute(change)
    database.close()
    with pytest.raises(RunError, match=r"history.db is damaged: .* (is|are) not as"):
        run.history.check()


def test_a_gap_is_seen(quick_path: Path) -> None:
    with HistoryWriter(quick_path / "history.db") as writer:
        writer.add_losses(0, np.zeros(3, np.float32))
        writer.add_losses(4, np.zeros(3, np.float32))
    history = History(quick_path / "history.db")
    assert history.iterations == 3
    with pytest.raises(RunError, match="the losses from iteration 3 on"):
        _ = history.losses


def test_the_best_evaluation_has_the_highest_accuracy_and_then_the_lowest_loss() -> None:
    rows = [
        EvaluationRow(1, "test", 10, 0.5, 0.8),
        EvaluationRow(2, "test", 10, 0.4, 0.9),
        EvaluationRow(3, "test", 10, 0.3, 0.9),
        EvaluationRow(4, "test", 10, float("nan"), 0.9),
    ]
    assert min(rows, key=EvaluationRow.badness).iteration == 3
    regression = [EvaluationRow(i, "test", 10, loss, None) for i, loss in enumerate((0.5, float("nan"), 0.4))]
    assert min(regression, key=EvaluationRow.badness).iteration == 2


def test_those_who_follow_a_run_read_what_is_new(run: Run) -> None:
    history = run.history
    first, losses = history.losses_from(7)
    assert first <= 7
    assert losses.tobytes() == history.losses[first:].tobytes()
    assert [row.epoch for row in history.epochs_after(1)] == [2, 3]
    assert [row.iteration for row in history.evaluations_after(6)] == [12, 18]
    assert history.sums_until(2)[:2] == (12, 46)


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
