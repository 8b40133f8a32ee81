"""Ctrl-C while Python trains: a prompt gets the stopped run, a script its KeyboardInterrupt, and both a last point."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import epochal
import epochal.study
from epochal import Callback, Run, train
from epochal.run import interrupts
from epochal.run.callbacks import ChunkEnd
from little import EachIteration, little_data

__all__ = ["little_data"]

SCRIPT = """
import pathlib, sys, epochal

class Ready(epochal.Callback):
    def on_chunk(self, chunk):
        pathlib.Path("ready").touch()
        if "slow" in sys.argv:
            import time
            time.sleep(60)

run = epochal.train("digits", budget="60s", run="one", callbacks=Ready())
print("after", run.status)
"""
OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 50, "progress": False}


def interrupted(folder: Path, *arguments: str, times: int = 1, typed: str = "") -> tuple[int, str]:
    """Let Python train in a process, interrupt it, and return its exit status and all that it wrote."""
    (folder / "script.py").write_text(SCRIPT)
    # in a background job of a shell it is ignored, and so it would be by the child
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    limit = time.monotonic() + 60
    while not (folder / "ready").exists() and time.monotonic() < limit:
        time.sleep(0.02)
    for _ in range(times):
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    written, _ = process.communicate(typed, timeout=60)
    return process.returncode, written


def test_a_script_ends_with_a_keyboard_interrupt_after_its_last_point_is_saved(workplace: Path) -> None:
    status, written = interrupted(workplace, "script.py")
    assert status == -signal.SIGINT
    assert written.rstrip().endswith("KeyboardInterrupt")
    assert "stopping after the current iterations" in written
    assert "after" not in written.split("stopping after", 1)[1].replace("after the current", "")
    run = Run.open(workplace / "one")
    assert run.status == "stopped"
    assert run.position.iteration == run.history.iterations > 0


def test_a_prompt_gets_the_stopped_run(workplace: Path) -> None:
    status, written = interrupted(workplace, "-i", "script.py", typed="print('typed', run.status)\n")
    assert status == 0
    assert "go on with: epochal.resume('one')" in written
    assert "after stopped" in written
    assert "typed stopped" in written
    assert "Traceback" not in written


def test_the_second_leaves_at_once(workplace: Path) -> None:
    status, written = interrupted(workplace, "script.py", "slow", times=2)
    assert status == -signal.SIGINT
    assert written.rstrip().endswith("KeyboardInterrupt")
    assert Run.open(workplace / "one").status == "interrupted"


class Interrupting(EachIteration):
    """Gets a Ctrl-C after so many iterations."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_chunk(self, chunk: ChunkEnd) -> None:
        self.left -= 1
        if not self.left:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)  # the handler runs between two bytecodes


@pytest.fixture
def at_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "is_interactive", lambda: True)
    monkeypatch.setattr(interrupts, "cell_output", lambda: object())  # which says nothing on the real stderr
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "as it was"
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("at_a_prompt")
def test_a_stopped_run_goes_on_to_the_same_weights(little_data: Path, capsys: Any) -> None:
    whole = train(little_data, run="whole", **OPTIONS)
    stopped = train(little_data, run="stopped", callbacks=Interrupting(20), **OPTIONS)
    assert (stopped.status, stopped.position.iteration) == ("stopped", 20)
    assert capsys.readouterr().out == (
        "stopped at epoch 4, batch 2, iteration 20, and saved; go on with: epochal.resume('stopped')\n"
    )
    again = epochal.resume("stopped", callbacks=Interrupting(5), progress=False)
    assert (again.status, again.position.iteration) == ("stopped", 25)
    assert epochal.resume("stopped", progress=False).weights_sha256 == whole.weights_sha256


@pytest.mark.usefixtures("at_a_prompt")
def test_a_run_in_memory_is_returned_and_says_that_it_cannot_be_resumed(little_data: Path, capsys: Any) -> None:
    run = train(little_data, callbacks=Interrupting(20), **{**OPTIONS, "run": False})
    assert (run.status, run.history.iterations) == ("stopped", 20)
    assert "it cannot be resumed" in capsys.readouterr().out
    assert len(run.predict(run.data.test.x)) == 11


@pytest.mark.usefixtures("at_a_prompt")
def test_one_in_the_last_iteration_changes_nothing(little_data: Path, capsys: Any) -> None:
    run = train(little_data, callbacks=Interrupting(300), **{**OPTIONS, "run": False})
    assert run.status == "finished"
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("at_a_prompt")
def test_a_study_is_returned_and_says_how_it_goes_on(little_data: Path, capsys: Any) -> None:
    class Study(epochal.study.StudyCallback):  # type: ignore[name-defined]
        def follow(self, run: Any) -> Any:
            from contextlib import nullcontext

            return nullcontext((Interrupting(5),))

    study = epochal.compare(
        little_data, models="linear", batch_sizes=[4, "all"], epochs=50, run="study", callback=Study()
    )
    assert {name: run.status for name, run in study.runs.items()} == {"batch-4": "stopped"}
    assert capsys.readouterr().out == "stopped, and saved; go on with: epochal.compare(run='study')\n"


def test_a_handler_of_the_programs_own_is_left_alone(little_data: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        run = train(little_data, callbacks=Interrupting(20), **{**OPTIONS, "run": False})
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    assert run.status == "finished"


def test_marimos_handler_is_asked_the_second_time(little_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(KeyboardInterrupt):
        pass

    def marimo(number: int, frame: Any) -> None:
        raise Stop

    class Twice(Interrupting):
        def on_chunk(self, chunk: ChunkEnd) -> None:
            super().on_chunk(chunk)
            if not self.left:
                signal.raise_signal(signal.SIGINT)
                time.sleep(0)

    monkeypatch.setattr(interrupts, "is_marimo", lambda: True)
    monkeypatch.setattr(interrupts, "is_interactive", lambda: True)
    monkeypatch.setattr(interrupts, "cell_output", lambda: object())
    before = signal.signal(signal.SIGINT, marimo)
    try:
        stopped = train(little_data, callbacks=Interrupting(20), **{**OPTIONS, "run": False})
        with pytest.raises(Stop):
            train(little_data, callbacks=Twice(20), **{**OPTIONS, "run": False})
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.status == "stopped"


def test_another_thread_trains_without_a_handler(little_data: Path) -> None:
    found: list[Any] = []

    class Look(Callback):
        def on_chunk(self, chunk: ChunkEnd) -> None:
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: train(little_data, callbacks=Look(), **{**OPTIONS, "run": False}))
    thread.start()
    thread.join()
    assert set(found) == {before}
