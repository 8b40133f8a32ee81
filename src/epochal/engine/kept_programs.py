"""Compiled programs on the disk: the user's alone, checked before they are executed, and never too many.

JAX's own cache executes whatever lies under the right name, keeps a file that a killed process left half written for
ever, and has no bound that is on by default. Each file here says of which program and machine it is, and carries a
hash of all that; it is written as a whole or not at all; what was not used for long, or is too much, is removed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from epochal.engine.machine import machine

MOST_BYTES: Final = 64 << 20
"""All files together: about two thousand programs."""
MOST_DAYS: Final = 30
"""Without having been used."""

_MAGIC: Final = b"epochal compiled program 1\n"
_ENDING, _TEMPORARY = ".program", ".part"
_OF_JAX: Final = ("-cache", "-atime")
"""How the files end that JAX wrote into this folder for earlier versions."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_LINK
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
_PRUNED_EVERY: Final = 64
_DAY: Final = 86_400.0
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: Path) -> str | None:
    """Make a folder for its owner alone, or say why it cannot be used: what lies in it is executed.

    On Windows a user's folder is private without modes. Raises `OSError` where it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if stat.S_ISLNK(about.st_mode):
        return f"{folder} is a symbolic link, and what it leads to is executed; remove it"
    if not hasattr(os, "getuid"):
        return None

    if about.st_uid != os.getuid():
        return f"{folder} belongs to another user, who could have anything executed; remove it"
    if about.st_mode & _OTHERS_WRITE:
        return f"other users can write to {folder}, and so have anything executed; remove it"
    if stat.S_IMODE(about.st_mode) != 0o700:
        folder.chmod(0o700)
    return None


@dataclass(slots=True)
class KeptPrograms:
    """Programs by JAX's keys, and by those of `epochal.engine.ahead`: what JAX asks a cache for is `get` and `put`.

    Neither ever raises.

    Attributes:
        folder: which `make_private` has found private.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    _written: int = field(default=0)
    _made_anew: threading.local = field(default_factory=threading.local, repr=False)

    @property
    def _path(self) -> Path:
        """Where it is: JAX says so in its log."""
        return self.folder

    def get(self, key: str) -> bytes | None:
        """Return a program that is whole and of this machine, or ``None``; what is damaged is removed."""
        if getattr(self._made_anew, "is_wanted", False):
            return None
        path = self._file(key)
        try:
            content = _read(path)
        except OSError:
            return None

        program = _checked(content, key)
        with suppress(OSError):
            if program is None:
                path.unlink()
            else:
                os.utime(path)  # when it was last used
        return program

    def put(self, key: str, value: bytes) -> None:
        """Keep a program, as a whole or not at all: on a full disk it is compiled again next time."""
        temporary = self.folder / f"{secrets.token_hex(8)}{_TEMPORARY}"
        with suppress(OSError):
            try:
                with os.fdopen(os.open(temporary, _NEW_FILE, 0o600), "wb") as file:
                    file.write(_head(key, value) + value)
                temporary.replace(self._file(key))
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        if self._written % _PRUNED_EVERY == 0:
            self.prune()
        self._written += 1

    @contextmanager
    def made_anew(self) -> Iterator[None]:
        """Let this thread find nothing here, so that JAX compiles what it compiles in the block."""
        self._made_anew.is_wanted = True
        try:
            yield
        finally:
            self._made_anew.is_wanted = False

    def prune(self) -> None:
        """Remove what was not used for long, and what was not used for longest where all is too much."""
        now, total = time.time(), 0
        for used, size, path in sorted(self._files(), key=lambda one: one[0], reverse=True):
            total += size
            is_over = now - used > MOST_DAYS * _DAY or total > self.most_bytes
            is_left = path.name.endswith(_TEMPORARY) and now - used > _DAY  # by a process that was killed
            if is_over or is_left:
                with suppress(OSError):
                    path.unlink()

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Return files of this folder's own kinds: when they were last used, and how many bytes they have."""
        with suppress(OSError), os.scandir(self.folder) as found:
            for one in found:
                if one.name.endswith((_ENDING, _TEMPORARY, *_OF_JAX)):
                    with suppress(OSError):
                        about = one.stat(follow_symlinks=False)
                        yield about.st_mtime, about.st_size, self.folder / one.name

    def _file(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(_label(key)).hexdigest()[:40]}{_ENDING}"


def _read(path: Path) -> bytes:
    """Return a file's content. Raises `OSError` for what is no file of the user's alone: a link, a pipe, another's."""
    with os.fdopen(os.open(path, _READING), "rb") as file:
        about = os.fstat(file.fileno())
        is_own = not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not about.st_mode & _OTHERS_WRITE)
        if not (stat.S_ISREG(about.st_mode) and is_own and about.st_size <= MOST_BYTES):
            raise OSError
        return file.read()


def _head(key: str, program: bytes) -> bytes:
    """Return what stands before a program: the hash of everything that must be right with it."""
    return _MAGIC + hashlib.sha256(_label(key) + program).digest()


def _label(key: str) -> bytes:
    return f"{key}\n{machine()}\n".encode()


def _checked(content: bytes, key: str) -> bytes | None:
    size = len(_MAGIC) + hashlib.sha256().digest_size
    program = content[size:]
    return program if content[:size] == _head(key, program) else None
