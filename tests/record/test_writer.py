from __future__ import annotations

import dataclasses
import math
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from epochal.errors import RunError
from epochal.record.history import read_history
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.record.writer import HistoryWriter

LOSSES = np.arange(10, dtype=np.float32) / 3
EPOCH = EpochRow(
    epoch=1,
    end_iteration=5,
    iterations=5,
    samples=23,
    expected_samples=23,
    complete=True,
    train_loss=0.5,
    seconds=0.25,
    audit_hash="00ff",
    expected_hash="00ff",
)


def fail(text: str) -> None:
    raise RunError(text)


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "history.db"


def test_what_was_written_is_read(path: Path) -> None:
    evaluation = EvaluationRow(5, "test", 11, {"loss": 0.75, "accuracy": 0.5, "recall/cat": 0.25})
    with HistoryWriter(path) as writer:
        writer.start_session(0)
        writer.add_losses(0, LOSSES[:3])
        writer.add_losses(3, LOSSES[3:])
        writer.add_epoch(EPOCH)
        writer.add_evaluation(evaluation)
        writer.add_event(5, "warned", message="tiny ½")
        writer.update_session(10, 1.5, 1.0, "finished")
    history = read_history(path, check=True)
    assert history.losses.tobytes() == LOSSES.tobytes()
    assert history.iterations == 10
    assert history.evaluations == (evaluation,)
    assert history.epochs == (dataclasses.replace(EPOCH, test=evaluation.metrics),)
    (event,), (session,) = history.events, history.sessions
    assert (event.iteration, event.kind, event.detail) == (5, "warned", {"message": "tiny ½"})
    assert (session.first_iteration, session.end_iteration, session.seconds) == (0, 10, 1.5)
    assert history.last_status == session.status == "finished"


def test_an_empty_history(path: Path) -> None:
    with HistoryWriter(path):
        pass
    history = read_history(path, check=True)
    assert history.losses.shape == (0,)
    assert history.iterations == 0
    assert history.epochs == history.evaluations == history.sessions == history.events == ()
    assert history.last_status is None


def test_losses_that_are_not_finite_are_kept(path: Path) -> None:
    strange = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    with HistoryWriter(path) as writer:
        writer.add_losses(0, strange)
        writer.add_epoch(dataclasses.replace(EPOCH, train_loss=math.nan))
        writer.add_evaluation(EvaluationRow(5, "test", 11, {"loss": math.nan}))
    history = read_history(path, check=True)
    assert history.losses.tobytes() == strange.tobytes()
    assert math.isnan(history.epochs[0].train_loss)
    assert math.isnan(history.evaluations[0].loss)


def test_only_what_was_committed_survives_the_process(path: Path) -> None:
    writer = HistoryWriter(path)
    writer.add_losses(0, LOSSES[:5])
    writer.commit()
    writer.add_losses(5, LOSSES[5:])
    assert read_history(path).losses.size == 5  # a reader's view while somebody writes
    writer._database.close()
    assert read_history(path).losses.size == 5


@pytest.mark.parametrize("iteration", range(11))
def test_rolled_back_anywhere_it_has_each_iteration_once(path: Path, iteration: int) -> None:
    with HistoryWriter(path) as writer:
        for first, end in ((0, 3), (3, 4), (4, 10)):
            writer.add_losses(first, LOSSES[first:end])
        writer.add_epoch(EPOCH)
        writer.add_epoch(dataclasses.replace(EPOCH, epoch=2, end_iteration=10))
        for at in (5, 10):
            writer.add_evaluation(EvaluationRow(at, "test", 11, {"loss": 0.5, "accuracy": 0.5}))
        writer.add_event(10, "stopped")
        writer.roll_back(iteration)
        assert read_history(path).losses.tobytes() == LOSSES[:iteration].tobytes()
        writer.add_losses(iteration, LOSSES[iteration:])
    history = read_history(path, check=True)
    assert history.losses.tobytes() == LOSSES.tobytes()
    assert [row.end_iteration for row in history.epochs] == [end for end in (5, 10) if end <= iteration]
    assert [row.iteration for row in history.evaluations] == [end for end in (5, 10) if end <= iteration]
    assert len(history.events) == 1


def test_rolling_back_forgets_a_last_epoch_cut_short(path: Path) -> None:
    with HistoryWriter(path) as writer:
        writer.add_epoch(dataclasses.replace(EPOCH, complete=False))
        writer.roll_back(EPOCH.end_iteration)
    assert read_history(path).epochs == ()


def test_an_iteration_twice_is_refused(path: Path) -> None:
    with HistoryWriter(path) as writer:
        writer.add_losses(0, LOSSES)
        with pytest.raises(sqlite3.IntegrityError):
            writer.add_losses(0, LOSSES)


def test_an_evaluation_twice_replaces_the_first(path: Path) -> None:
    with HistoryWriter(path) as writer:
        for loss in (1.0, 2.0):
            writer.add_evaluation(EvaluationRow(5, "test", 11, {"loss": loss}))
    assert [row.loss for row in read_history(path).evaluations] == [2.0]


def test_closed_it_is_one_plain_file(path: Path) -> None:
    with HistoryWriter(path) as writer:
        writer.add_losses(0, LOSSES)
        writer.commit()
        assert path.with_name("history.db-wal").exists()
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # SQLite's marks of a file that opens on a read-only disk too


def test_an_error_on_its_way_is_not_replaced_by_one_from_closing(path: Path) -> None:
    writer = HistoryWriter(path)
    writer.add_losses(0, LOSSES)
    first, writer._finish = RunError("the first"), lambda: fail("the second")  # type: ignore[method-assign]
    with pytest.raises(RunError, match="the second"):
        writer.__exit__(None, None, None)
    writer.__exit__(RunError, first, None)


def test_each_commit_is_forced_to_the_disk(path: Path) -> None:
    with HistoryWriter(path) as writer:
        assert writer._database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert writer._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*No such file"):
        HistoryWriter(tmp_path / "none" / "history.db")


def test_a_reader_at_work_does_not_keep_the_writer_from_closing(path: Path) -> None:
    with HistoryWriter(path) as writer:
        writer.add_losses(0, LOSSES)
        writer.commit()
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM iterations").fetchone()
    assert read_history(path).losses.size == 10
    reader.close()
    assert os.path.getsize(path) > 0
