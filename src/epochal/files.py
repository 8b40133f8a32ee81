"""Files that are written as a whole or not at all, survive a loss of power, and never lead out through a link."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from epochal.held_folder import READING, TEMPORARY, HeldFolder, regular, sync_names

_CAN_SYNC_FOLDERS = os.name != "nt"  # Windows opens no folders
_CHAIN = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""", re.ASCII)
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


def is_utf8(name: str) -> bool:
    """Return whether a name can be recorded: one of a file may be of bytes that are no text, such as of GBK."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def real_path(path: Path) -> Path:
    """Return a path without links and ``..``; of links that lead in a circle, as far as they lead.

    `Path.resolve` raises `RuntimeError` for those before Python 3.13.
    """
    return Path(os.path.realpath(path))


def files_named(folder: Path, name: str) -> list[Path]:
    """Return the files of a name in a folder and those inside it, sorted; folders that cannot be read are passed over.

    So are those that are removed meanwhile, on which `Path.rglob` fails.
    """
    return sorted(Path(where, name) for where, _, names in os.walk(folder) if name in names)


def atomic_write(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file through a temporary one: content first, then its name, each forced to the disk.

    Without ``sync`` nothing is forced: it is quick, and survives this process, though not a loss of power.

    Raises `OSError` where any of it fails; whatever stood under that name is then still there. A link that stands under
    that name is replaced, and what it points to is not touched; a device, such as ``/dev/null``, is refused.
    """
    with atomic_file(path, sync=sync) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of ``path`` once the block has ended; as `atomic_write` does.

    Processes that do so at the same time do not disturb each other: the last one stays.
    """
    if not path.is_symlink() and (path.is_char_device() or path.is_block_device()):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))
    with HeldFolder.open(path.parent) as folder, folder.new_file(path.name, sync=sync) as file:
        yield file


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


def made_folder(path: Path) -> HeldFolder:
    """Make a folder that the user named, as `make_folder` does, and hold it."""
    make_folder(path)
    return HeldFolder.open(path)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk, where the system can do that."""
    if not _CAN_SYNC_FOLDERS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync_names(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file that the user named for reading, through links too. Raises `OSError` where it cannot be read.

    It raises it, too, for what is no file: a named pipe in its place would keep its reader waiting for ever.
    """
    return regular(os.open(path, READING))


def read_regular(path: Path) -> bytes:
    """Return a file's content; as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def read_own(path: Path, most: int | None = None) -> bytes:
    """Return the content of a file that belongs to the folder it is in, of at most so many bytes where that is said.

    Raises `OSError` for a link in its place, and as `HeldFolder.read` does.
    """
    with HeldFolder.open(path.parent) as folder:
        return folder.read(path.name, most)


def parse_toml(content: bytes) -> dict[str, Any]:
    """Return what a TOML file from anywhere holds. Raises `ValueError` where it is none.

    A key of thousands of parts, ``a.a.a…``, is a few kilobytes and makes the reader take gigabytes.
    """
    text = content.decode()
    if _CHAIN.search(text):
        raise ValueError("it has a key of more parts than anybody writes")
    return tomllib.loads(text)


def refuse_link(folder: Path) -> None:
    """Raise `OSError` for a link in place of a folder that belongs to the one it is in; it need not be there."""
    with suppress(FileNotFoundError):
        HeldFolder.own(folder).close()


def is_own(path: Path) -> bool:
    """Return whether a file, and no link, stands under a path; for a name that no file can have, too."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; for a name that none can have, too."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_leftover(path: Path, name: str) -> bool:
    """Return whether a path is a temporary file of `atomic_write` for a file of this name."""
    return path.name.startswith(f"{name}.") and path.name.endswith(TEMPORARY)
