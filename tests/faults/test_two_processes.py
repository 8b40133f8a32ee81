"""Two processes on one run: the second is refused, and the lock of a dead one is free."""

from __future__ import annotations

import re
import time
from pathlib import Path

from children import Child, ChildServer

from epochal import Run
from epochal.record.checkpoint_file import checkpoint_files

LONG = "--model mlp --hidden 32 --batch-size 1 --checkpoint-every 0 --epochs"


def start_long_run(children: ChildServer, images: Path, run: Path) -> Child:
    """Start a run that takes minutes."""
    child = children.start("train", images, *LONG.split(), 1_000_000, "--run", run)
    child.wait_until_training()
    return child


def test_the_second_is_refused_with_the_firsts_process_and_start(
    children: ChildServer, images: Path, tmp_path: Path
) -> None:
    first = start_long_run(children, images, tmp_path / "run")
    status, text = children.run("resume", tmp_path / "run")
    assert status == 2
    assert re.search(rf"in use by process {first.process}, started 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", text), text
    assert '"status": "running"' in children.run("show", tmp_path / "run", "--json")[1]
    status, text = children.run("train", images, "--run", tmp_path / "run")
    assert status == 2
    assert "is not empty" in text
    first.kill()
    assert first.wait() == -9
    assert '"status": "interrupted"' in children.run("show", tmp_path / "run", "--json")[1]


def test_the_lock_of_a_dead_process_is_taken_over(children: ChildServer, images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = start_long_run(children, images, run)
    while len(checkpoint_files(run / "checkpoints")) < 2:
        time.sleep(0.01)
    first.kill()
    first.wait()
    before = Run.open(run).position.iteration
    assert children.run("resume", run, "--iterations", before + 1000)[0] == 0
    assert Run.open(run).history.losses.size == before + 1000


def test_that_a_lock_left_out_is_caught(children: ChildServer, images: Path, tmp_path: Path) -> None:
    first = start_long_run(children, images, tmp_path / "run")
    second = children.start("resume", tmp_path / "run", sabotage="no_lock")
    second.wait_until_training()
    for child in (first, second):
        child.kill()
        child.wait()
    assert "in use" not in second.log.read_text()
