"""Where data lie on disk, and how a file appears there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias

from epochal.errors import DataError

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
            why, fix = error.strerror or str(error), "mend that"
        raise DataError(
            f"cannot write {path}: {why}; {fix}, or put the files elsewhere and let {VARIABLE} name that place"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of ``path`` once it is complete and on disk.

    Processes that do so at the same time do not disturb each other; the last one stays. On any failure nothing is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
            install(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def install(temporary: Path, path: Path) -> None:
    """Move a finished file to its name, so that after a power cut there is all of it or none."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if sys.platform != "win32":  # there, folders cannot be synchronised
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread works in ``folder``. The system ends the claim of a process that dies.

    Where folders cannot be locked (Windows, some network file systems) this waits for nobody: a download that two
    processes disturb fails its hash check and is repeated.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
