"""Somebody reads what a training prints, and goes away: the training goes on to its end, with the same bits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome

from epochal import Run

TRAIN = "--model mlp --hidden 32 --batch-size 17 --epochs 60 --run"
BROKEN_PIPE = 128 + 13  # as shells report SIGPIPE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_training(children: ChildServer, images: Path, tmp_path: Path) -> None:
    """As `epochal train | head -1`: the status says that the last lines were not read, and the run is finished."""
    assert children.run("train", images, *TRAIN.split(), tmp_path / "whole")[0] == 0
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    child = children.start("train", images, *TRAIN.split(), tmp_path / "run", pipe=tmp_path / "pipe")
    child.wait_until_training()
    os.close(reader)
    assert child.wait() == BROKEN_PIPE
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_stop_that_nobody_can_be_told_of_is_saved_all_the_same(
    children: ChildServer, images: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    endless = TRAIN.replace("60", "1000000").split()
    child = children.start("train", images, *endless, tmp_path / "run", pipe=tmp_path / "pipe")
    child.wait_until_training()
    os.close(reader)
    child.kill(signal.SIGTERM)
    assert child.wait() in (BROKEN_PIPE, 128 + signal.SIGTERM)
    run = Run.open(tmp_path / "run")
    assert run.status == "stopped"
    assert run.position.iteration == run.history.losses.size > 0
