"""Trainings with a budget of time: an open end, and everything else as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from epochal import rerun, resume, train
from epochal.clock import Plan
from epochal.errors import OptionError
from epochal.run.run import Run
from little import EachIteration, StopAfter, little_data

__all__ = ["little_data"]


def test_it_ends_when_its_time_is_up_with_an_evaluation(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, model="linear", batch_size=4, budget="0.05s", run=tmp_path / "run")
    assert run.status == "finished"
    assert run.record.training_seconds >= 0.05
    assert run.config.budget == "0.05s"
    assert run.history.evaluations[-1].iteration == run.position.iteration == run.history.iterations
    assert all(row.is_exact for row in run.history.epochs)
    assert all(fact.agrees for fact in run.record.facts())


def test_finished_it_is_returned_as_it_is_and_more_time_extends_it(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, model="linear", batch_size=4, budget="0.02s", run=tmp_path / "run")
    assert resume(run.path).position == run.position
    longer = resume(run.path, budget="0.06s")
    assert longer.status == "finished"
    assert longer.record.training_seconds >= 0.06
    assert longer.history.losses[: run.history.losses.size].tobytes() == run.history.losses.tobytes()


def test_stopped_it_has_its_seconds_left(little_data: Path, tmp_path: Path) -> None:
    stopped = train(
        little_data, model="linear", batch_size=4, budget="0.2s", run=tmp_path / "r", callbacks=StopAfter(3)
    )
    assert stopped.status == "stopped"
    used = stopped.record.training_seconds
    finished = resume(stopped.path, callbacks=EachIteration())
    assert finished.status == "finished"
    assert 0.2 <= finished.record.training_seconds < 0.2 + used + 0.5


def test_repeated_it_has_as_many_iterations_and_the_same_weights(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, model="linear", batch_size=4, budget="0.03s", run=tmp_path / "run")
    again = rerun(run.path, tmp_path / "again")
    assert again.is_same
    assert again.repeated.status == "finished"
    assert again.repeated.history.iterations == run.history.iterations


def more_time(run: Run) -> str:
    """Return a budget that lasts a little longer than a run took, which may be more than it was given."""
    return f"{run.record.training_seconds + 0.01:.3f}s"


@pytest.mark.parametrize("longer", ["time", "iterations", "epochs"])
def test_repeated_through_changes_it_needs_no_clock(
    longer: str, little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(little_data, model="linear", batch_size=4, budget="0.02s", run=tmp_path / "run")
    run = resume(first.path, lr=0.02, budget=more_time(first))
    budgets = {"time": more_time(run), "iterations": f"{run.position.iteration + 50}it",
               "epochs": f"{run.position.epoch + 5}ep"}  # fmt: skip
    run = resume(run.path, budget=budgets[longer])

    spent = Plan.is_spent
    monkeypatch.setattr(Plan, "is_spent", lambda plan, position, seconds: spent(plan, position, 1e6 * seconds))
    again = rerun(run.path, tmp_path / "again")
    assert again.is_same
    assert again.repeated.status == "finished"
    assert again.repeated.history.losses.tobytes() == run.history.losses.tobytes()


def test_a_schedule_needs_an_end(little_data: Path) -> None:
    with pytest.raises(OptionError, match=r"the schedule 'cosine' needs a known number of updates.* budget of 1s"):
        train(little_data, model="linear", budget="1s", schedule="cosine", run=False)
