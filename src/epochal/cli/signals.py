"""Ctrl-C and SIGTERM: the first asks training to stop after the current chunk, the second leaves at once.

A terminal that is closed (SIGHUP) asks as SIGTERM does, unless it was to be ignored, as nohup has it.

Before and after a training, Ctrl-C ends the command with `KeyboardInterrupt`, wherever it falls.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from epochal.words.catalogue import tell

_ALWAYS = (signal.SIGINT, signal.SIGTERM)
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_SHOW_CURSOR = "\x1b[?25h"
_AGAIN = 0.01  # seconds


@contextmanager
def no_interrupt_lost() -> Iterator[None]:
    """Raise a `KeyboardInterrupt` again that fell where Python ignores all exceptions.

    That is so in finalizers and in the garbage collector's callbacks, of which JAX has one: sometimes a Ctrl-C at the
    start of a training fell there, and was not heard.
    """
    before = sys.unraisablehook

    def hook(ignored: sys.UnraisableHookArgs) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            threading.Timer(_AGAIN, interrupt_main).start()
        else:
            before(ignored)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def leaving_behind(is_at_work: Callable[[], bool]) -> Iterator[None]:
    """End the process after the block, or after a second Ctrl-C in it, where threads are still at work for nobody.

    Python would wait for some of them, and stop others in the midst of compiled code, which aborts the process.
    """
    status = 0
    try:
        yield
    except KeyboardInterrupt:
        if not is_at_work():
            raise
        status = 128 + signal.SIGINT
    if is_at_work():
        sys.stdout.flush()
        _leave(status)


@dataclass(slots=True)
class StopRequest:
    """Whether a stop was asked for, and by which signal."""

    signals: list[int] = field(default_factory=list)

    def is_asked(self) -> bool:
        """Return whether a stop was asked for."""
        return bool(self.signals)

    def note(self, status: int) -> None:
        """Note that a process of several was asked to stop by a signal, and all of them do."""
        if not self.signals and status > 128:
            self.signals.append(status - 128)

    @property
    def exit_status(self) -> int:
        """0, or 128 and the signal's number, as shells report it."""
        return 128 + self.signals[0] if self.signals else 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Watch for SIGINT, SIGTERM and SIGHUP while the block runs.

    Python calls signal handlers between two bytecodes of the main thread, which may be waiting in a long iteration.
    So the signals come through a socket to a thread of their own, which can leave at once at the second.
    """
    request = StopRequest()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    heard = [one for one in _SIGNALS if one in _ALWAYS or signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, frame: None) for number in heard}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, request), daemon=True).start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()


def _watch(reader: socket.socket, request: StopRequest) -> None:
    with reader:
        while received := reader.recv(1):
            if received[0] not in _SIGNALS:
                continue
            request.signals.append(received[0] if received[0] == signal.SIGINT else signal.SIGTERM)
            if len(request.signals) > 1:
                _leave(request.exit_status)
            with suppress(OSError):  # a closed terminal sends a signal, too
                print(f"\n{tell('result.stopping')}", file=sys.stderr, flush=True)


def _leave(status: int) -> None:
    # rich takes the output's place while it draws, and would write the sequence as pictures of its letters
    output = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    if output.isatty():
        output.write(_SHOW_CURSOR)
        output.flush()
    os._exit(status)
