"""Trains a little run with `shim.c` between it and the disk: writes a journal, or makes each call fail in turn.

    LD_PRELOAD=shim.so python preloaded.py journal DATA FOLDER JOURNAL waiting|working [SABOTAGE]
    LD_PRELOAD=shim.so python preloaded.py journal-resume DATA FOLDER JOURNAL waiting|working
    LD_PRELOAD=shim.so python preloaded.py fail DATA FOLDER KIND STEP FIRST

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
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from outcome import Outcome
from sabotage import sabotaged

from epochal import resume, train
from epochal.held_folder import HeldFolder
from epochal.record.checkpoint_file import Checkpoint
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
        self._library.faults_end.restype = ctypes.c_int64

    def begin(self, folder: Path, journal: str = "", what: int = PASS, number: int = 0, error: int = 0) -> None:
        """Watch a folder from here on."""
        self._library.faults_begin(
            str(folder).encode(), journal.encode(), ctypes.c_int(what), ctypes.c_int64(number), ctypes.c_int(error)
        )

    def mark(self, text: str) -> None:
        """Put a mark into the journal."""
        self._library.faults_mark(text.encode())

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
    print(f"{calls} calls", file=sys.stderr)
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
        print(json.dumps(fail_in_turn(Path(data), Path(folder), *rest)))
