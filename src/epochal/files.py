"""Files that are written as a whole or not at all, survive a loss of power, and never lead out through a link."""

from __future__ import annotations

import errno
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_TEMPORARY = ".tmp"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_CAN_SYNC_FOLDERS = os.name != "nt"  # Windows opens no folders
_LONGEST_NAME = 200  # bytes; file systems take 255, and a number or an ending may follow


def as_file_name(text: str) -> str:
    """Return a text as part of a file's name: letters of every script stay; signs, blanks and controls become ``-``.

    >>> as_file_name("我的数据-mlp"), as_file_name("my data! mlp"), as_file_name("model.py:build")
    ('我的数据-mlp', 'my-data-mlp', 'model.py-build')

    The signs are those of ASCII, which file systems or shells forbid or give a meaning.
    """
    letters = unicodedata.normalize("NFC", text)
    kept = "".join(one if _stays_in_name(one) else "\0" for one in letters)
    return re.sub("\0+", "-", kept).encode()[:_LONGEST_NAME].decode(errors="ignore")


def _stays_in_name(letter: str) -> bool:
    if letter.isascii():
        return letter.isalnum() or letter in "._-"
    return unicodedata.category(letter)[0] not in "CZ"


def atomic_write(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file through a temporary one: content first, then its name, each forced to the disk.

    Without ``sync`` nothing is forced: it is quick, and survives this process, though not a loss of power.

    Raises `OSError` where any of it fails; whatever stood under that name is then still there. A link that stands under
    that name is replaced, and what it points to is not touched.
    """
    with atomic_file(path, sync=sync) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of ``path`` once the block has ended; as `atomic_write` does.

    Processes that do so at the same time do not disturb each other: the last one stays.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        with os.fdopen(os.open(temporary, _NEW_FILE, 0o666), "wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())

        # the name follows the content to the disk, or a loss of power could leave a name without content
        if sync:
            replace(temporary, path)
        else:
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def replace(temporary: Path, path: Path) -> None:
    """Give a file whose content is on the disk its name, and force the name to the disk. Raises `OSError`."""
    temporary.replace(path)
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that they survive a loss of power.

    Raises `OSError` where it cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk, where the system can do that."""
    if not _CAN_SYNC_FOLDERS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading. Raises `OSError` where it cannot be read, and for what is no file.

    A named pipe that stands in its place would otherwise keep its reader waiting for ever.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    return path.open("rb")


def read_regular(path: Path) -> bytes:
    """Return a file's content; as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def refuse_link(path: Path) -> None:
    """Raise `OSError` for a symbolic link where a run has a file or folder of its own: it could lead anywhere."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path.name} is a symbolic link, which may lead out of the run folder; remove it")


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes left behind; nobody may be writing there."""
    for path in () if folder.is_symlink() else folder.glob(f"*{_TEMPORARY}"):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)


def is_leftover(path: Path, name: str) -> bool:
    """Return whether a path is a temporary file of `atomic_write` for a file of this name."""
    return path.name.startswith(f"{name}.") and path.name.endswith(_TEMPORARY)
