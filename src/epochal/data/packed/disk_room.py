"""A disk that has too little room, or cannot be written, in one line."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from epochal.errors import DataError


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Turn a failure to write in the folder into a `DataError` that says why and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "the disk is full; free some space and give the command again: it goes on where it stopped"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            why = "it may not be written; make it writable, or give another folder"
        else:
            why = f"{error.strerror or error}; repair the disk, or give another folder"
        raise DataError(f"cannot write in {folder}: {why}") from error


def check_room(folder: Path, needed: int) -> None:
    """Raise `DataError` where the disk has less room than so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{folder}: the pack needs {needed / 1e6:,.1f} MB more, and its disk has {free / 1e6:,.1f} MB free; free "
            "some space, or give a folder on another disk"
        )
