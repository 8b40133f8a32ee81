"""Compiled libraries write what they think of a damaged file to standard error, line by line: here it goes nowhere."""

from __future__ import annotations

import os
import threading
from types import TracebackType


class _StandardError:
    """Standard error of this process, which goes nowhere as long as any thread wants that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._own: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            try:
                self._own = os.dup(2)
            except OSError:  # there is none
                return

            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._own is not None:
                os.dup2(self._own, 2)
                os.close(self._own)
                self._own = None


errors_silenced = _StandardError()
"""A context in which nothing that a library writes to standard error is seen; threads may share it."""
