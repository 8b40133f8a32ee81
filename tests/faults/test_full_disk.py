"""A disk that is really full, without files left to make, or read-only: a reason, nothing half-made, the same bits.

The calls of `test_failing_calls.py` fail one by one; here it is the system that refuses, as long as the disk is full.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome

from epochal import Run
from epochal.held_folder import TEMPORARY
from epochal.record.run_record import RunRecord

TRAIN = "--model mlp --hidden 32 --batch-size 17 --epochs 60 --snapshots --checkpoint-every 0 --run"
SIZE, FILES = 24 << 20, 400


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Make a file system of 24 MiB and 400 files; the test is skipped where that is not allowed."""
    place.mkdir()
    options = f"size={SIZE},nr_inodes={FILES}"
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a file system of its own, as root: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def fill(disk: Path, left: int) -> list[Path]:
    """Take all bytes but so many."""
    about = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(max(0, about.f_bavail * about.f_frsize - left)))
    return [disk / "filler"]


def spend_files(disk: Path, left: int) -> list[Path]:
    """Take all names that files can have but so many."""
    fillers = [disk / f"filler-{number}" for number in range(os.statvfs(disk).f_favail - left)]
    for path in fillers:
        path.touch()
    return fillers


@contextmanager
def frozen(*folders: Path) -> Iterator[None]:
    """Let nothing be made or renamed in the folders, not by root either, while files there stay open for writing."""
    try:
        subprocess.run(["chattr", "+i", *folders], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a file system whose folders can be made immutable, as root: {error}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *folders], check=True, capture_output=True)


def problems(text: str, status: int, run: Path) -> list[str]:
    """Check what a command said and left, before anybody helps."""
    found = []
    errors = [line for line in text.splitlines() if line.startswith("epochal: ")]
    if status != 2 or len(errors) != 1 or "Traceback" in text:
        found.append(f"status {status} and {text!r}")
    if (run / "run.toml").exists() and RunRecord.read(run, check=True).status not in ("failed", "interrupted", "new"):
        found.append(f"it is {Run.open(run).status}")
    return found


@pytest.mark.parametrize(
    ("take", "left"),
    [
        *(
            pytest.param(fill, left, marks=() if left == 120_000 else pytest.mark.slow)
            for left in (0, 30_000, 120_000, 600_000)
        ),
        *(pytest.param(spend_files, left, marks=pytest.mark.slow) for left in (0, 1, 3, 5, 9, 40)),
    ],
)
def test_it_ends_with_a_reason_and_goes_on_when_there_is_room(
    take: Callable[[Path, int], list[Path]],
    left: int,
    whole: Outcome,
    children: ChildServer,
    images: Path,
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fillers = take(disk, left)
        status, text = children.run("train", images, *TRAIN.split(), disk / "run")
        assert problems(text, status, disk / "run") == []
        for path in fillers:
            path.unlink()
        assert goes_on(children, images, disk / "run").differences(whole) == []
        assert not list(disk.rglob(f"*{TEMPORARY}"))  # nothing half-written is left


def test_a_folder_that_becomes_read_only_stops_the_training(
    children: ChildServer, images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    child = children.start("train", images, *TRAIN.replace("60", "6000").split(), run)
    child.wait_until_training()
    while not any((run / "checkpoints").glob("*.safetensors")):
        time.sleep(0.01)
    with frozen(run, run / "checkpoints"):
        status, text = child.wait(), child.log.read_text()
        assert problems(text, status, run) == []
        assert "Operation not permitted" in text
        status, text = children.run("resume", run)
        assert problems(text, status, run) == []
    position = Run.open(run).position
    assert position.iteration > 0
    assert children.run("resume", run, "--iterations", position.iteration + 10)[0] == 0


@pytest.fixture(scope="module")
def whole(children: ChildServer, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the training leads to where there is room."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert children.run("train", images, *TRAIN.split(), run)[0] == 0
    return Outcome.of(run)


def goes_on(children: ChildServer, images: Path, run: Path) -> Outcome:
    """Resume what is there, or begin where nothing is; return what it ended with."""
    command = ["resume", run] if (run / "run.toml").exists() else ["train", images, *TRAIN.split(), run]
    status, text = children.run(*command)
    assert status == 0, text
    return Outcome.of(run)
