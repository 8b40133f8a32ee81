"""A Ctrl-C is heard wherever it falls; what a stop does to a training is in tests/faults/test_signals.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from epochal.cli.signals import no_interrupt_lost


class Dying:
    """Gets a Ctrl-C in its finalizer, where Python ignores exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)  # the handler runs between two bytecodes


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_one_that_falls_into_a_finalizer_is_raised_again() -> None:
    def die_and_wait() -> None:
        with no_interrupt_lost():
            Dying()
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        die_and_wait()


def test_that_it_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: ignored.append(what.exc_type))
    Dying()
    time.sleep(0.1)
    assert ignored == [KeyboardInterrupt]


def test_other_exceptions_there_are_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError

    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: ignored.append(what.exc_type))
    with no_interrupt_lost():
        Failing()
    assert ignored == [ValueError]


# --- the second one, which leaves at once -------------------------------------------------------------------------

DRAWS_AND_IS_INTERRUPTED_TWICE = """
import os, signal, time
from rich.live import Live
from epochal.cli.screen import open_console
from epochal.cli.signals import stop_on_signal

with stop_on_signal(), Live("drawn", console=open_console()):
    for _ in range(90):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
"""


def test_the_second_one_shows_the_cursor_that_a_bar_hid() -> None:
    pty = pytest.importorskip("pty")
    reader, terminal = pty.openpty()
    command = [sys.executable, "-c", DRAWS_AND_IS_INTERRUPTED_TWICE]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        written = "".join(_pieces(reader))
    os.close(reader)

    assert process.returncode == 128 + signal.SIGINT
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert "\N{SYMBOL FOR ESCAPE}" not in written


def _pieces(reader: int) -> Iterator[str]:
    """Return what is written into a terminal until nobody holds it any more."""
    with suppress(OSError):
        while piece := os.read(reader, 1 << 16):
            yield piece.decode()
