"""TensorBoard: every iteration once, over stops and kills; and finished runs afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from following import OPTIONS, clouds, killed
from reading_events import Events, event_paths, read_events

from epochal import Run, resume, train
from epochal.errors import OptionError, RunError
from epochal.loggers import TensorBoard
from epochal.loggers.tensorboard import write_run
from little import StopAfter


def check(shown: Events, run: Run) -> None:
    """Each loss once and in order, each epoch once, with evaluation and audit."""
    history = run.history
    assert shown.scalars["loss"] == list(enumerate(history.losses.tolist(), 1))
    ends = [row.end_iteration for row in history.epochs]
    assert [step for step, _ in shown.scalars["train/loss"]] == ends
    assert shown.scalars["audit/exact"] == [(end, 1.0) for end in ends]
    assert [value for _, value in shown.scalars["test/accuracy"]] == pytest.approx([t.accuracy for t in history.tests])
    assert shown.texts["status"][-1] == (history.iterations, "finished")
    assert "batch_size = 10" in shown.texts["configuration"][0][1]


def test_a_training_is_written_into_its_own_folder_or_another(tmp_path: Path) -> None:
    run = train(clouds(), run=tmp_path / "run", callbacks=[TensorBoard(), TensorBoard("logs/first")], **OPTIONS)
    check(read_events(tmp_path / "run" / "tensorboard"), run)
    check(read_events(Path("logs/first")), run)
    run = resume(run.path, data=clouds(), callbacks=[TensorBoard(), TensorBoard("logs/first")], epochs=8)
    check(read_events(tmp_path / "run" / "tensorboard"), run)
    check(read_events(Path("logs/first")), run)


def test_without_a_run_folder_it_needs_one() -> None:
    with pytest.raises(OptionError, match="needs a folder"):
        train(clouds(), run=False, callbacks=TensorBoard(), **OPTIONS)
    run = train(clouds(), run=False, callbacks=TensorBoard("logs"), **OPTIONS)
    check(read_events(Path("logs")), run)


@pytest.mark.parametrize("stop", [1, 20, 37])
def test_a_run_that_continues_goes_on_in_the_same_events(stop: int, tmp_path: Path) -> None:
    train(clouds(), run=tmp_path / "run", callbacks=[TensorBoard("logs"), StopAfter(stop)], **OPTIONS)
    run = resume(tmp_path / "run", data=clouds(), callbacks=TensorBoard("logs"))
    check(read_events(Path("logs")), run)
    assert len(event_paths(Path("logs"))) == 2


def test_what_a_killed_process_wrote_after_its_checkpoint_is_superseded(tmp_path: Path) -> None:
    path = killed(tmp_path, "TensorBoard(share=1.0)")
    left = read_events(path / "tensorboard").scalars["loss"]
    assert [step for step, _ in left][-1] >= Run.open(path).position.iteration
    run = resume(path, data=clouds(), callbacks=TensorBoard())
    check(read_events(path / "tensorboard"), run)

    # the negative control: without what TensorBoard knows as superseded, iterations are there twice
    raw = [step for step, _ in read_events(path / "tensorboard", purge=False).scalars["loss"]]
    assert len(raw) > len(set(raw)) == 60


def test_events_that_were_removed_are_written_again(tmp_path: Path) -> None:
    train(clouds(), run=tmp_path / "run", callbacks=[TensorBoard(), StopAfter(33)], **OPTIONS)
    shutil.rmtree(tmp_path / "run" / "tensorboard")
    run = resume(tmp_path / "run", data=clouds(), callbacks=TensorBoard())
    check(read_events(tmp_path / "run" / "tensorboard"), run)


def test_a_run_folder_that_was_moved_goes_on(tmp_path: Path) -> None:
    train(clouds(), run=tmp_path / "run", callbacks=[TensorBoard(), StopAfter(33)], **OPTIONS)
    (tmp_path / "run").rename(tmp_path / "moved")
    run = resume(tmp_path / "moved", data=clouds(), callbacks=TensorBoard())
    check(read_events(tmp_path / "moved" / "tensorboard"), run)


def test_a_folder_with_events_of_another_run_is_refused(tmp_path: Path) -> None:
    run = train(clouds(), run=tmp_path / "run", callbacks=TensorBoard("logs"), **OPTIONS)
    with pytest.raises(OptionError, match="logs holds events already"):
        train(clouds(), run=tmp_path / "other", callbacks=TensorBoard("logs"), **OPTIONS)
    with pytest.raises(OptionError, match="logs holds events already"):
        write_run(run.path, "logs")


def test_a_finished_run_is_written_afterwards_as_it_would_have_been(tmp_path: Path) -> None:
    run = train(clouds(), run=tmp_path / "run", callbacks=TensorBoard("live"), **OPTIONS)
    scalars = write_run(run.path, tmp_path / "later")
    shown, live = read_events(tmp_path / "later"), read_events(Path("live"))
    check(shown, run)
    assert shown.scalars == live.scalars
    assert scalars == sum(len(points) for points in shown.scalars.values())
    assert shown.walls == sorted(shown.walls)


def test_a_run_that_never_began_and_a_place_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        write_run(tmp_path / "nothing", tmp_path / "logs")
    run = train(clouds(), run=tmp_path / "run", **OPTIONS)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write"):
        write_run(run.path, tmp_path / "file" / "logs")
