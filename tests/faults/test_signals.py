"""Ctrl-C and SIGTERM: a stop after the current chunk, saved, with a word on how to go on; the second leaves at once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from children import Child, ChildServer
from outcome import Outcome

from epochal import Run

ENDLESS = "--model mlp --hidden 32 --batch-size 1 --epochs 1000000 --run"
SHORT = "--model mlp --hidden 32 --batch-size 17 --epochs 200 --run"


def start(children: ChildServer, images: Path, run: Path, sabotage: str = "") -> Child:
    """Start a run that takes minutes."""
    child = children.start("train", images, *ENDLESS.split(), run, sabotage=sabotage)
    child.wait_until_training()
    time.sleep(0.3)
    return child


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_stops_and_saves(
    number: signal.Signals, status: int, children: ChildServer, images: Path, tmp_path: Path
) -> None:
    child = start(children, images, tmp_path / "run")
    asked = time.monotonic()
    child.kill(number)
    assert child.wait() == status
    assert time.monotonic() - asked < 10  # about a second on a machine that does nothing else
    text = child.log.read_text()
    assert "stopping after the current iterations" in text
    assert f"epochal resume {tmp_path / 'run'}" in text
    run = Run.open(tmp_path / "run")
    assert run.status == "stopped"
    assert run.position.iteration == run.history.losses.size > 0


def test_a_stopped_run_ends_with_the_same_bits(children: ChildServer, images: Path, tmp_path: Path) -> None:
    options = ["train", images, *SHORT.split()]
    assert children.run(*options, tmp_path / "whole")[0] == 0
    child = children.start(*options, tmp_path / "run")
    for stop in range(4):
        child.wait_until_training()
        time.sleep(0.05 * stop)
        child.kill(signal.SIGINT)
        assert child.wait() in (130, 0)
        child = children.start("resume", tmp_path / "run")
    assert child.wait() == 0
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []


def test_the_second_leaves_at_once_and_loses_nothing_that_was_saved(
    children: ChildServer, images: Path, tmp_path: Path
) -> None:
    child = start(children, images, tmp_path / "run")
    child.kill(signal.SIGINT)
    assert child.wait() == 130
    saved = Run.open(tmp_path / "run").position
    child = children.start("resume", tmp_path / "run", sabotage="chunks_take_a_minute")
    child.wait_until_training()
    time.sleep(0.3)
    child.kill(signal.SIGINT)
    time.sleep(0.3)
    asked = time.monotonic()
    child.kill(signal.SIGINT)
    assert child.wait() == 130
    assert time.monotonic() - asked < 10
    run = Run.open(tmp_path / "run")
    assert run.status == "interrupted"
    assert run.position == saved


def test_a_signal_at_any_moment_ends_without_a_traceback(children: ChildServer, images: Path, tmp_path: Path) -> None:
    random_ = random.Random(3)
    for number in range(8):
        child = children.start("train", images, *ENDLESS.split(), tmp_path / f"run-{number}")
        time.sleep(random_.uniform(0.02, 0.6))
        child.kill(signal.SIGINT)
        assert child.wait() == 130, child.log.read_text()
        assert "Traceback" not in child.log.read_text()


def test_that_a_deaf_training_is_caught(children: ChildServer, images: Path, tmp_path: Path) -> None:
    child = start(children, images, tmp_path / "run", sabotage="stop_is_never_asked")
    child.kill(signal.SIGTERM)
    time.sleep(2)
    child.kill(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_a_closed_terminal_stops_and_saves(children: ChildServer, images: Path, tmp_path: Path) -> None:
    child = start(children, images, tmp_path / "run")
    child.kill(signal.SIGHUP)
    assert child.wait() == 128 + signal.SIGTERM
    run = Run.open(tmp_path / "run")
    assert run.status == "stopped"
    assert run.position.iteration == run.history.losses.size > 0


def test_a_process_that_was_halted_goes_on_with_the_same_bits(
    children: ChildServer, images: Path, tmp_path: Path
) -> None:
    options = ["train", images, *SHORT.split()]
    assert children.run(*options, tmp_path / "whole")[0] == 0
    child = children.start(*options, tmp_path / "run")
    child.wait_until_training()
    for _ in range(3):
        child.kill(signal.SIGSTOP)
        time.sleep(0.1)
        child.kill(signal.SIGCONT)
        time.sleep(0.02)
    assert child.wait() == 0
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []
