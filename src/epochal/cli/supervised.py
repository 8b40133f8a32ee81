"""A process that a supervisor started ends with it, however that ends: there are no orphans."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Final

SUPERVISOR: Final = "EPOCHAL_SUPERVISOR"
"""The variable that tells a process who started it."""

LOST: Final = 75
"""The exit status of a training that lost one of its processes, and can go on: EX_TEMPFAIL of BSD's sysexits."""

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl


def end_with_supervisor() -> None:
    """Let this process end when the one that started it does, if that is a supervisor: however it ends.

    Linux's kernel sees to it; elsewhere a thread looks once a second.
    """
    parent = os.environ.pop(SUPERVISOR, None)
    if parent is None or not parent.isdigit():
        return
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_look_after, args=(int(parent),), daemon=True).start()
    if os.getppid() != int(parent):  # it ended before this was asked for
        os._exit(LOST)


def _look_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(LOST)
