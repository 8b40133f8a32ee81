"""Where data lie on disk, and how a file appears there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from epochal.errors import DataError
from epochal.files import atomic_file, make_folder
from epochal.lock import folder_lock

VARIABLE = "EPOCHAL_DATA"

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being fetched or made, how much of it is done, and how much there is (bytes or images)."""


def own_folder(name: str) -> Path | None:
    """Return ``$EPOCHAL_DATA/name`` if the user has made that folder."""
    root = os.environ.get(VARIABLE)
    folder = Path(root).expanduser() / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def cache_folder(name: str) -> Path:
    """Return the folder that keeps what was downloaded or generated for a data set; it may not exist yet."""
    import platformdirs

    return platformdirs.user_cache_path("epochal", appauthor=False) / name


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write at ``path`` into a `DataError` that says why and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why, fix = "the disk is full", "free some space"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            why, fix = "it may not be written", "make the folder writable"
        else:
            why, fix = error.strerror or str(error), "repair the disk or its permissions"
        raise DataError(
            f"cannot write {path}: {why}; {fix}, or put the files elsewhere and let {VARIABLE} name that place"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of ``path`` once it is complete; its folder is made."""
    with writing(path):
        make_folder(path.parent)
        with atomic_file(path) as file:
            yield file


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread works in ``folder``, which is made.

    A download that two processes disturb all the same fails its hash check and is repeated.
    """
    with writing(folder):
        make_folder(folder)
    with folder_lock(folder):
        yield
