"""What is new of a run, read with small queries, is what reading everything would have found."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from epochal.errors import RunError
from epochal.report.updates import Known, answer, read_update
from epochal.run import Run, resume, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("digits", model="linear", batch_size=100, iterations=50, run=tmp_path_factory.mktemp("follow") / "r")


@pytest.mark.parametrize("known", [0, 1, 15, 29, 50])
def test_losses_from_what_is_known(run: Run, known: int) -> None:
    update = read_update(run.path, Known(known, 0, -1))
    assert update.increment.first <= known
    np.testing.assert_array_equal(update.increment.losses[known - update.increment.first :], run.history.losses[known:])


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_epochs_and_tests_after_what_is_known(run: Run, epoch: int) -> None:
    rows = run.history.epochs
    end = rows[epoch - 1].end_iteration if epoch else 0
    update = read_update(run.path, Known(50, epoch, end))
    assert [row.epoch for row in update.increment.epochs] == [row.epoch for row in rows[epoch:]]
    assert [row.iteration for row in update.tests] == [row.end_iteration for row in rows[epoch:]]
    assert (update.start.epoch, update.start.iteration) == (epoch, end)
    assert update.start.samples == sum(row.samples for row in rows[:epoch])
    assert update.start.seconds == pytest.approx(sum(row.seconds for row in rows[:epoch]))


def test_it_knows_when_nothing_more_will_come(run: Run) -> None:
    assert read_update(run.path, Known(0, 0, -1)).is_over


def test_a_resumed_run_has_another_session(tmp_path: Path) -> None:
    path = tmp_path / "r"
    train("digits", model="linear", batch_size=100, epochs=1, run=path)
    assert len(read_update(path, Known(0, 0, -1)).increment.sessions) == 1
    resume(path, epochs=2)
    assert len(read_update(path, Known(0, 0, -1)).increment.sessions) == 2


def test_a_run_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        read_update(tmp_path / "gone", Known(0, 0, -1))


QUERY = {"iterations": "0", "bucket": "1", "epoch": "0", "tested": "-1", "version": ""}


def test_a_run_is_known_by_its_name_as_it_is_shown(run: Run) -> None:
    odd = run.path.parent / "r\u202e\x7f"
    shutil.copytree(run.path, odd)
    assert answer([odd], {**QUERY, "run": "r\ufffd␡"}) == {"reload": True, "is_over": False}


@pytest.mark.parametrize("number", ["", "x", "1.5", " 1", "1_0", "٣", "1" + "_0" * 3000, "9" * 16])
@pytest.mark.parametrize("name", ["iterations", "bucket", "epoch", "tested"])
def test_a_number_that_no_page_asks_for(run: Run, name: str, number: str) -> None:
    with pytest.raises(KeyError):
        answer([run.path], {**QUERY, "run": run.path.name, name: number})
