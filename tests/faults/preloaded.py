"""Trains a little run with `shim.c` between it and the disk: writes a journal, or makes each call fail in turn.

    LD_PRELOAD=shim.so python preloaded.py journal DATA FOLDER JOURNAL waiting|working [SABOTAGE]
    LD_PRELOAD=shim.so python preloaded.py journal-resume DATA FOLDER JOURNAL waiting|working
    LD_PRELOAD=shim.so python preloaded.py fail DATA FOLDER KIND STEP FIRST
    LD_PRELOAD=shim.so python preloaded.py clock DATA FOLDER
    LD_PRELOAD=shim.so python preloaded.py locks DATA FOLDER

It runs apart from the tests, since a library can only be preloaded when a process starts.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from outcome import Outcome
from sabotage import sabotaged

from epochal import resume, train
from epochal.held_folder import HeldFolder
from epochal.record.checkpoint_file import Checkpoint
from epochal.record.run_record import RunRecord
from epochal.run import checkpoints
from epochal.run.callbacks import Callback

PASS, FAIL_ONCE, DISK_FULL = 0, 1, 2
OPTIONS: dict[str, Any] = {
    "model": "mlp",
    "hidden": (4,),
    "batch_size": 9,
    "epochs": 2,
    "optimizer": "adam",
    "checkpoint_every": 0.0,
    "snapshots": True,
}
OTHER_RATE = 0.02
COMMAND = ["--model", "mlp", "--hidden", "4", "--batch-size", "9", "--epochs", "2", "--optimizer", "adam"]
COMMAND += ["--checkpoint-every", "0", "--snapshots"]


CommandLine: TypeAlias = Callable[[list[str]], int]


class Shim:
    """The preloaded library, from inside the process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faults_end.restype = self._library.faults_looks.restype = ctypes.c_int64

    def begin(self, folder: Path, journal: str = "", what: int = PASS, number: int = 0, error: int = 0) -> None:
        """Watch a folder from here on."""
        self._library.faults_begin(
            str(folder).encode(), journal.encode(), ctypes.c_int(what), ctypes.c_int64(number), ctypes.c_int(error)
        )

    def mark(self, text: str) -> None:
        """Put a mark into the journal."""
        self._library.faults_mark(text.encode())

    def take_locks_away(self, error: int) -> None:
        """Let every lock fail with this error; 0 gives them back."""
        self._library.faults_without_locks(ctypes.c_int(error))

    def turn_clock_back(self, seconds: int) -> None:
        """Let the clock on the wall go back by so many seconds whenever somebody looks; 0 lets it be right."""
        self._library.faults_clock(ctypes.c_int64(seconds))

    def looks(self) -> int:
        """Return how often somebody looked at a wrong clock."""
        return int(self._library.faults_looks())

    def end(self) -> int:
        """Stop; return how many calls there were that could fail."""
        return int(self._library.faults_end())


def one_iteration_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Make every chunk one iteration long, whoever trains."""
    patch.setattr(Callback, "next_stop", lambda self, position: position.iteration + 1)


def mark_saves(shim: Shim, patch: pytest.MonkeyPatch) -> None:
    """Mark the beginning and the end of each save."""
    save = checkpoints.save_checkpoint

    def marked(run: HeldFolder, name: str, checkpoint: Checkpoint) -> Path:
        if name != "checkpoints":
            return save(run, name, checkpoint)
        shim.mark(f"saving {checkpoint.position.iteration}")
        path = save(run, name, checkpoint)
        shim.mark(f"saved {checkpoint.position.iteration}")
        return path

    patch.setattr(checkpoints, "save_checkpoint", marked)


def write_journal(data: Path, folder: Path, journal: str, how: str, sabotage: str = "", *, again: bool) -> None:
    """Train the little run, saving as often as it can, and write down what it does to the disk.

    ``how``: ``waiting`` for each save to end before training goes on, which gives every iteration a checkpoint, or
    ``working`` meanwhile, as users' runs do. ``again``: go on with the run that is there, with another learning rate.
    """
    shim = Shim()
    with pytest.MonkeyPatch.context() as patch, sabotaged(sabotage):
        one_iteration_at_a_time(patch)
        mark_saves(shim, patch)
        if how == "waiting":
            patch.setattr(checkpoints.CheckpointSaver, "is_due", lambda self: self.wait() is None)
        shim.begin(folder, journal)
        if again:
            resume(folder / "run", data=data, lr=OTHER_RATE)
        else:
            train(data, run=folder / "run", **OPTIONS)
        shim.mark("finished")
        shim.end()


def fail_in_turn(data: Path, folder: Path, kind: str, step: str, first: str) -> list[str]:
    """Make every ``step``-th call of the little run fail, from the ``first`` on, and resume; return what went wrong.

    ``kind``: ``EIO`` or ``ENOSPC`` for one failing call, ``full`` for a disk that is full from that call on.
    """
    from epochal.cli.main import main

    shim = Shim()
    what = DISK_FULL if kind == "full" else FAIL_ONCE
    error = errno.ENOSPC if kind == "full" else int(getattr(errno, kind))
    with pytest.MonkeyPatch.context() as patch:
        one_iteration_at_a_time(patch)
        train_little = ["train", str(data), *COMMAND, "--run"]
        shim.begin(folder)
        status, text = _call(main, [*train_little, str(folder / "whole")])
        calls = shim.end()
        assert status == 0, text
        whole = Outcome.of(folder / "whole")
        problems = []
        for number in range(int(first), calls + 1, int(step)):
            run = folder / f"run-{number}"
            shim.begin(folder, "", what, number, error)
            status, text = _call(main, [*train_little, str(run)])
            shim.end()
            problems += [f"{kind} at call {number}: {problem}" for problem in _problems(main, status, text, run, whole)]
            shutil.rmtree(run, ignore_errors=True)
    (folder / "times").write_text(str(len(range(int(first), calls + 1, int(step)))))
    return problems


def shorter(command: list[str]) -> list[str]:
    """Return a command with half of its two epochs."""
    place = command.index("--epochs") + 1
    return [*command[:place], "1", *command[place + 1 :]]


def go_back_in_time(data: Path, folder: Path) -> list[str]:
    """Train, resume, list and report while the clock goes back by an hour at each look; return what went wrong."""
    from epochal.cli.main import main

    shim, problems = Shim(), []
    train_little = ["train", str(data), *COMMAND, "--run"]
    assert _call(main, [*train_little, str(folder / "whole")])[0] == 0
    whole = Outcome.of(folder / "whole")

    shim.turn_clock_back(3600)
    run, timed = str(folder / "run"), str(folder / "timed")
    timed_options = ["--model", "linear", "--budget", "1s", "--batch-size", "9", "--run", timed]
    started = time.monotonic()
    for command in (
        [*shorter(train_little), run],
        ["resume", run, "--epochs", "2"],
        ["train", str(data), *timed_options],
        ["runs", str(folder)],
        ["show", run],
        ["report", run],
        ["rerun", run],
    ):
        status, text = _call(main, command)
        if status:
            problems.append(f"{command[0]}: status {status} and {text!r}")
    seconds = time.monotonic() - started
    assert shim.looks() > 20, "nobody looked"
    shim.turn_clock_back(0)

    if Outcome.of(Path(run)).weights != whole.weights:
        problems.append("other bits")
    record = RunRecord.read(Path(timed), check=True)
    trained = sum(session.chunk_seconds for session in record.history.sessions)
    if record.status != "finished" or not 1 <= trained < seconds:
        problems.append(f"a budget of 1 s was {record.status} after {trained} s of training, within {seconds} s")
    if any(session.seconds < 0 for path in (run, timed) for session in RunRecord.read(Path(path)).history.sessions):
        problems.append("a session took negative time")
    return problems


def take_locks_away(data: Path, folder: Path) -> list[str]:
    """Train and resume on a disk without locks; return what was not refused in a line, and what it left."""
    from epochal.cli.main import main

    shim, problems = Shim(), []
    train_little = ["train", str(data), *COMMAND, "--run"]
    assert _call(main, [*train_little, str(folder / "whole")])[0] == 0
    whole = Outcome.of(folder / "whole")
    assert _call(main, [*shorter(train_little), str(folder / "before")])[0] == 0

    for error in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
        shim.take_locks_away(error)
        for command in ([*train_little, str(folder / "new")], ["resume", str(folder / "before"), "--epochs", "2"]):
            status, text = _call(main, command)
            errors = [line for line in text.splitlines() if line.startswith("epochal: ")]
            if status != 2 or len(errors) != 1 or "disk has no locks" not in errors[0]:
                problems.append(f"{command[0]}: status {status} and {text!r}")
        status, text = _call(main, ["show", str(folder / "before")])
        if status not in (0, 2) or "Traceback" in text:
            problems.append(f"show: status {status} and {text!r}")
        shim.take_locks_away(0)
        if (folder / "new" / "run.toml").exists():
            problems.append("a run was begun")

    for command in ([*train_little, str(folder / "new")], ["resume", str(folder / "before"), "--epochs", "2"]):
        status, text = _call(main, command)
        problems += [text] if status else []
    problems += Outcome.of(folder / "new").differences(whole)
    if Outcome.of(folder / "before").weights != whole.weights:
        problems.append("other bits")
    return problems


def _problems(main: CommandLine, status: int, text: str, run: Path, whole: Outcome) -> list[str]:
    """Check what a failing call led to: a clear end, and a run that can be gone on with to the same bits."""
    if status == 0:
        return Outcome.of(run).differences(whole)  # it did not matter, as where an old file could not be deleted
    problems = []
    errors = [line for line in text.splitlines() if line.startswith("epochal: ")]
    if status != 2 or len(errors) != 1 or "Traceback" in text:
        problems.append(f"status {status} and {text!r}")
    if (run / "run.toml").exists():
        again, text = _call(main, ["resume", str(run)])
        if again or "passed over" in text:
            problems.append(f"resumed with status {again} and {text!r}, after {errors}")
        else:
            problems += Outcome.of(run).differences(whole)
    return problems


def _call(main: CommandLine, arguments: list[str]) -> tuple[int, str]:
    """Call the command line; return its status and what it printed."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            status = main(arguments)
        except Exception as error:
            return 1, f"Traceback: {error!r}"
    return status, output.getvalue()


if __name__ == "__main__":
    command, data, folder, *rest = sys.argv[1:]
    if command.startswith("journal"):
        write_journal(Path(data), Path(folder), *rest, again=command == "journal-resume")
    else:
        act = {"fail": fail_in_turn, "clock": go_back_in_time, "locks": take_locks_away}[command]
        print(json.dumps(act(Path(data), Path(folder), *rest)))
