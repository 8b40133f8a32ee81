"""Ctrl-C, or a notebook's stop button, while Python trains: the first stops and saves, the second leaves at once.

What happens after the first depends on who is there to go on. At a prompt and in a notebook, `train` returns the
stopped run and says how to continue it: a traceback would cost the person the run that they just looked at. A script
would go on with a run that is not what it asked for, so there the same `KeyboardInterrupt` as ever ends it, after the
last point is saved.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from epochal.plan_rows import counters
from epochal.run.callbacks import Callback, StopWhen
from epochal.run.run import Run
from epochal.run.surroundings import cell_output, is_interactive, is_marimo
from epochal.words.catalogue import tell
from epochal.words.phrases import translate
from epochal.words.plain_text import print_plain

_STATUS = 128 + signal.SIGINT


@dataclass(slots=True)
class Interrupt:
    """Whether a stop was asked for."""

    is_asked: bool = False

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        """What ends the training when a stop was asked for."""
        return (StopWhen(lambda: self.is_asked, lambda: _STATUS, self.note),)

    def note(self, status: int) -> None:
        """Note that a process of several was asked to stop, and all of them do."""
        self.is_asked = self.is_asked or status == _STATUS

    def answer(self, run: Run) -> Run:
        """Return a run, and say how an interrupted one is continued. Raises `KeyboardInterrupt` in a script."""
        if self.is_asked and run.status != "finished":
            at = counters(run.record.recorded, run.plan)
            where = f"stopped at epoch {at['epoch']:,}, batch {at['batch']:,}, iteration {at['iteration']:,}"
            if run.record.path is None:
                self.tell(f"{where}; the run was kept in memory alone (run=False), so it cannot be resumed")
            else:
                self.tell(f"{where}, and saved; go on with: {run.record.resume_command}")
        return run

    def tell(self, message: str) -> None:
        """Say how an interrupted work is continued, to a person. Raises `KeyboardInterrupt` in a script."""
        if not is_interactive():
            raise KeyboardInterrupt
        print_plain(translate(message))


@contextmanager
def stop_on_interrupt() -> Iterator[Interrupt]:
    """Watch for SIGINT while the block runs, if nobody else does; a second one does what it always did."""
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    is_ours = before is signal.default_int_handler or (callable(before) and is_marimo())
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def handle(number: int, frame: FrameType | None) -> Any:
        if interrupt.is_asked and callable(before):
            return before(number, frame)
        interrupt.is_asked = True
        if cell_output() is None:  # past Python's own buffers, in which the training may be at this moment
            os.write(2, b"\n" + tell("cell.stopping").encode() + b"\n")
        return None

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
