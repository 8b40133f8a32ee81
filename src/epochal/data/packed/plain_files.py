"""Opens and reads a pack's files: plain files, no links, read at a place."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

from epochal.errors import DataError

_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def open_file(path: Path, fix: str) -> int:
    """Return a descriptor of a file. Raises `DataError`, with ``fix``, for what cannot be opened or is none."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        why = "a symbolic link" if path.is_symlink() else error.strerror
        raise DataError(f"{path}: cannot be opened ({why}); {fix}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is no file; {fix}")
    return descriptor


def read_fully(descriptor: int, size: int, offset: int) -> bytes:
    """Return so many bytes, fewer only at the end of the file."""
    parts = []
    while size > 0:
        part = os.pread(descriptor, min(size, 1 << 30), offset)
        if not part:
            break
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)


def close_all(descriptors: list[int]) -> None:
    """Close descriptors."""
    while descriptors:
        os.close(descriptors.pop())


def when_gone(owner: object, function: Callable[..., None], *arguments: object) -> None:
    """Call a function when its owner is no longer used; at an interpreter's end the system closes what is open.

    Until then, threads read; and `object.__del__` would find half of the interpreter gone.
    """
    weakref.finalize(owner, function, *arguments).atexit = False
