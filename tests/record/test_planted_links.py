"""Links and pipes that somebody planted in a run folder: nothing outside it is touched, and no reader hangs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from epochal import Run, resume
from epochal.cli import main
from epochal.errors import RunError


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
