"""One process a run: a file lock that the system releases when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from epochal.errors import RunError

_TRIES, _SECONDS_BETWEEN = 10, 0.02


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run's lock while the block runs.

    Raises `RunError` with the holder's process id and start time where another process holds it. A lock that a dead
    process left behind is free: the system has released it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"cannot write in {path.parent}: {error.strerror}") from error
    try:
        if not _take(descriptor):
            raise RunError(f"{path.parent} is in use by {_holder(path)}; wait for it, or stop it")
        about = {"process": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        _write(descriptor, json.dumps(about).encode())
        yield
        _write(descriptor, b"")
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int) -> bool:
    """Take the lock; try for a moment, since `is_locked` in another process holds it for as long as it asks."""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_SECONDS_BETWEEN)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _write(descriptor: int, content: bytes) -> None:
    """Say who holds the lock, for people; a full disk does not matter here."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def _holder(path: Path) -> str:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return f"process {about['process']}, started {about['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
