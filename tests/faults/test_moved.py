"""The run folder is moved, removed or replaced while it trains: training stops with a reason, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from epochal import Callback, Run, resume, train
from epochal.errors import RunError
from epochal.record.run_record import RunRecord
from epochal.run import checkpoints
from epochal.run.point import Point
from little import little_data, quick_path

__all__ = ["little_data", "quick_path"]

OPTIONS = {"model": "linear", "batch_size": 4, "epochs": 40}


class Disturb(Callback):
    """Does something to the folder after some iterations; every chunk is one iteration."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def next_stop(self, position: object) -> int:
        return position.iteration + 1  # type: ignore[attr-defined]

    def on_point(self, point: Point) -> None:
        if point.position.iteration == 30:
            self._act()


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_LOOK_SECONDS", 0.0)


def disturbed(data: Path, path: Path, act: Callable[[], object]) -> RunError:
    with pytest.raises(RunError) as caught:
        train(data, run=path, checkpoint_every=0.01, callbacks=Disturb(act), **OPTIONS)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_moved_run_stops_with_its_last_point_where_it_is_now(little_data: Path, quick_path: Path) -> None:
    whole = train(little_data, run=quick_path / "whole", **OPTIONS)
    was, now = quick_path / "a", quick_path / "b"
    error = disturbed(little_data, was, lambda: was.rename(now))
    assert f"the run folder {was} was moved to {now} while it was trained" in str(error)
    assert not was.exists()

    record = RunRecord.read(now, check=True)
    assert (record.status, record.problems) == ("failed", ())
    assert record.position.iteration >= 30
    assert resume(now).weights_sha256 == whole.weights_sha256


def test_a_removed_run_is_not_made_again(little_data: Path, quick_path: Path) -> None:
    was = quick_path / "a"
    error = disturbed(little_data, was, lambda: shutil.rmtree(was))
    assert f"the run folder {was} was moved or removed while it was trained" in str(error)
    assert not was.exists()


def test_another_run_at_the_old_place_is_not_touched(little_data: Path, quick_path: Path) -> None:
    """Not its checkpoints, and not the log of its history, which SQLite would delete by its name."""
    was, now = quick_path / "a", quick_path / "b"
    other = train(little_data, run=quick_path / "other", **{**OPTIONS, "epochs": 1})

    def swap() -> None:
        was.rename(now)
        other.path.rename(was)
        (was / "history.db-wal").touch()

    before = other.weights_sha256
    disturbed(little_data, was, swap)
    assert (was / "history.db-wal").exists()
    (was / "history.db-wal").unlink()
    assert Run.open(was).weights_sha256 == before
    assert RunRecord.read(now, check=True).status in ("failed", "interrupted")
    assert resume(now).status == "finished"


def test_a_history_that_is_removed_alone_is_named(little_data: Path, quick_path: Path) -> None:
    was = quick_path / "a"
    error = disturbed(little_data, was, (was / "history.db").unlink)
    assert "history.db was removed or replaced while the run was trained" in str(error)


def test_a_folder_that_may_not_be_written_any_more_stops_with_the_points_before(
    little_data: Path, quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root writes everywhere, the system's answer is played."""
    was = quick_path / "a"

    def refuse(*anything: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        error = disturbed(little_data, was, lambda: patch.setattr("epochal.held_folder.HeldFolder.write_file", refuse))
    assert "cannot save a checkpoint in" in str(error)
    assert "Permission denied; the ones before are intact" in str(error)
    assert resume(was).status == "finished"
