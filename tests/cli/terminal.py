"""Runs the installed `epochal` as a user does: a process of its own, with its output in a pipe or a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EPOCHAL = str(Path(sys.executable).with_name("epochal"))
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as JSON, which must be the whole of it."""
        return json.loads(self.out)


def environment(*, without: tuple[str, ...] = (), **more: str) -> dict[str, str]:
    """This environment without what decides the width of a terminal or begins with ``without``, and with ``more``."""
    unwanted = ("COLUMNS", "LINES", *without)
    return {**{name: value for name, value in os.environ.items() if not name.startswith(unwanted)}, **more}


def epochal(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Answer:
    """Run `epochal` with its output in pipes and no input; ``more`` goes into its environment."""
    done = subprocess.run(
        [EPOCHAL, *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        timeout=120,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def succeed(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Answer:
    """Run `epochal`, which must succeed and complain about nothing."""
    answer = epochal(*arguments, cwd=cwd, **more)
    assert (answer.status, answer.err) == (0, ""), answer
    return answer


def in_terminal(*arguments: str, columns: int) -> tuple[int, str]:
    """Run `epochal` in a terminal of so many columns; return its status and all that it wrote, escapes included."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [EPOCHAL, *arguments],
        env=environment(COLUMNS=str(columns), LINES="50", TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # Linux reports the end of a terminal as an error
        pass
    os.close(ours)
    return process.wait(timeout=60), written.decode()


def lines_of(written: str) -> list[str]:
    """What a terminal showed, line by line, without escapes; what was written over is a line of its own."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", _ESCAPES.sub("", written)) if line.strip()]
