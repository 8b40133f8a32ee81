"""A Ctrl-C is heard wherever it falls; what a stop does to a training is in tests/faults/test_signals.py."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

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
