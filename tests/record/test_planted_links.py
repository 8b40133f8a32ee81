"""Links and pipes that somebody planted in a run folder: nothing outside it is touched, and no reader hangs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from epochal import Run, resume
from epochal.cli import main
from epochal.errors import OptionError, RunError
from epochal.loggers import TensorBoard


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's, with a file that looks like one of a run's."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / f"{99:012d}-{'0' * 32}.safetensors").write_text("precious")
    (folder / "notes.tmp").write_text("precious")
    return folder


def untouched(outside: Path) -> bool:
    return len(list(outside.iterdir())) == 2 and {path.read_text() for path in outside.iterdir()} == {"precious"}


@pytest.mark.parametrize("name", ["checkpoints", "snapshots"])
def test_a_folder_that_is_a_link_is_refused(name: str, run: Run, outside: Path) -> None:
    folder = run.path / name
    if folder.exists():
        folder.rename(run.path / "moved")
    folder.symlink_to(outside)
    with pytest.raises(RunError):
        resume(run.path, epochs=5)
    assert untouched(outside)


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_a_history_that_is_a_link_is_refused(ending: str, run: Run, outside: Path) -> None:
    victim = outside / "notes.tmp"
    path = run.folder.history_db.with_name(f"history.db{ending}")
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    with pytest.raises(RunError):
        resume(run.path, epochs=5)
    assert untouched(outside)


def plant(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, victim: (folder / name).symlink_to(victim)


@pytest.mark.parametrize("name", ["run.toml.tmp", "run.toml.00000000.tmp", "report.html", ".report.html.tmp"])
def test_a_link_at_a_name_that_is_written_leads_nowhere(name: str, run: Run, outside: Path) -> None:
    plant(name)(run.path, outside / "notes.tmp")
    assert main(["resume", str(run.path), "--epochs", "4"]) == 0
    assert main(["report", str(run.path)]) == 0
    assert untouched(outside)
    assert not (run.path / "run.toml").is_symlink()
    assert not (run.path / "report.html").is_symlink()


@pytest.mark.parametrize("to", ["numpy", "safetensors", "tensorboard"])
@pytest.mark.parametrize("link", ["export", "export/tensorboard"])
def test_an_export_into_the_run_folder_stays_there(link: str, to: str, run: Run, outside: Path) -> None:
    (run.path / link).parent.mkdir(exist_ok=True)
    (run.path / link).symlink_to(outside)
    leads_there = link == "export" or to == "tensorboard"
    assert main(["export", str(run.path), "--to", to, "--force"]) == (2 if leads_there else 0)
    assert untouched(outside)
    assert main(["export", str(run.path), "--to", to, "--out", str(outside), "--force"]) == 0  # whom the user names


def test_events_of_another_folder_are_not_replaced(run: Run, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "events.out.tfevents.0000000001.host").write_text("precious")
    (run.path / "export").mkdir()
    (run.path / "export" / "tensorboard").symlink_to(others)
    assert main(["export", str(run.path), "--to", "tensorboard", "--force"]) == 2
    assert [path.read_text() for path in others.iterdir()] == ["precious"]


def test_a_logger_writes_into_no_link(run: Run, outside: Path) -> None:
    (run.path / "tensorboard").symlink_to(outside)
    with pytest.raises(OptionError, match="is a symbolic link"):
        resume(run.path, epochs=5, callbacks=TensorBoard())
    assert untouched(outside)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["run.toml", "newest checkpoint"])
def test_a_pipe_in_place_of_a_file_is_named(name: str, run: Run) -> None:
    path = max(run.folder.checkpoints.iterdir()) if name == "newest checkpoint" else run.path / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="it is no file"):
        resume(run.path, epochs=5)


def test_a_checkpoint_that_begins_with_any_bytes_is_passed_over(run: Run) -> None:
    (path,) = run.folder.checkpoints.iterdir()
    path.write_bytes(b"\xff" * 100)
    assert main(["show", str(run.path)]) == 0
    with pytest.raises(RunError, match="is damaged"):
        resume(run.path, epochs=5)
