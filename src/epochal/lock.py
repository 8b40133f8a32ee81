"""Locks between processes, which the system releases when their holder ends, however it ends.

Where there is `fcntl` (Linux, macOS), a lock is the system's own on the file or folder itself: asking needs no right to
write, and the file can say who holds it. Elsewhere (Windows) `filelock` holds a second file beside it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.errors import RunError
from epochal.files import read_own
from epochal.held_folder import HeldFolder

if TYPE_CHECKING:
    from filelock import BaseFileLock

fcntl: Any
try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None

_TRIES, _SECONDS_BETWEEN = 10, 0.02
_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)  # every other error says that nothing can be locked there
_LONGEST = 1000  # bytes in which the holder says who it is
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for no pipe that stands in its place


@dataclass(slots=True, eq=False)
class _Held:
    """The descriptor that a lock hangs on; ``None`` once this process has let go of it."""

    descriptor: int | None

    def let_go(self) -> None:
        """Close it, which frees the lock where no other process has it."""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@cache
def _held_here() -> set[_Held]:
    """Return the locks of this process, of which children that it forks let go.

    A child has every descriptor, too: it would hold the lock on when this process is lost.
    """
    held: set[_Held] = set()

    def let_go_of_all() -> None:
        for one in held:
            one.let_go()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=let_go_of_all)
    return held


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run's lock while the block runs.

    Raises `RunError` with the holder's process id and start time where another process holds it. A lock that a dead
    process left behind is free: the system has released it. Raises it, too, on a disk without locks.
    """
    with ExitStack() as stack:
        try:
            with HeldFolder.open(path.parent) as folder:
                descriptor = folder.descriptor_of(path.name, os.O_RDWR | os.O_CREAT | _NO_WAIT)
        except OSError as error:
            raise RunError(f"cannot write in {path.parent}: {error.strerror}") from error
        held = _Held(descriptor)
        stack.callback(held.let_go)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RunError(f"{path} is no file; remove it")

        try:
            is_taken = _take(descriptor, path, stack)
        except OSError as error:
            raise RunError(
                f"cannot lock {path}: {error.strerror}; its disk has no locks, so put the folder on a local one"
            ) from error

        if not is_taken:
            raise RunError(f"{path.parent} is in use by {_holder(path)}; wait for it, or stop it")

        about = {"process": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        _write(descriptor, json.dumps(about).encode())
        _held_here().add(held)
        stack.callback(_held_here().discard, held)
        yield
        if held.descriptor is not None:  # or it is the parent's
            _write(held.descriptor, b"")


def is_locked(path: Path) -> bool:
    """Return whether a living process holds the run's lock; nothing is written."""
    if fcntl is None:
        return _is_held(path)
    try:
        with HeldFolder.open(path.parent) as folder:
            descriptor = folder.descriptor_of(path.name, os.O_RDONLY | _NO_WAIT)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(descriptor)
    return False


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread works in a folder, which must be there.

    Where folders cannot be locked (some network file systems) this waits for nobody.
    """
    if fcntl is None:
        with _file_lock(folder / "folder", timeout=-1):
            yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, stack: ExitStack) -> bool:
    """Take the lock; try for a moment, since `is_locked` in another process holds it for as long as it asks.

    Raises `OSError` where nothing can be locked.
    """
    if fcntl is None:
        with suppress(TimeoutError):
            stack.enter_context(_file_lock(path, timeout=_TRIES * _SECONDS_BETWEEN))
            return True
        return False

    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_SECONDS_BETWEEN)

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in _HELD:
                raise
    return False


def _is_held(path: Path) -> bool:
    """Return whether `filelock` is held, by taking it for a moment."""
    if not _beside(path).exists():
        return False
    try:
        with _file_lock(path, timeout=0):
            return False
    except OSError:  # which a time-out is, too
        return True


def _file_lock(path: Path, timeout: float) -> BaseFileLock:
    """Return filelock's lock beside a path; its time-out is a `TimeoutError`."""
    import filelock  # where there is fcntl, nobody needs it

    return filelock.FileLock(_beside(path), timeout=timeout)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")


def _write(descriptor: int, content: bytes) -> None:
    """Say who holds the lock, for people; a full disk does not matter here.

    A file that has another name, too, is somebody else's, or a backup's: it stays as it is.
    """
    if os.fstat(descriptor).st_nlink > 1:
        return
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, content)


def _holder(path: Path) -> str:
    try:
        about = json.loads(read_own(path, _LONGEST))
        return f"process {int(about['process'])}, started {datetime.fromisoformat(about['since']).isoformat()}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
