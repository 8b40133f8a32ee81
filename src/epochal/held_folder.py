"""A folder held open: what is done in it is done in this very folder, and through no link.

Folders from strangers hold what somebody planted: links in place of files and folders, pipes, files that are all
holes. The system's own guard against links is to open a folder once and to name what lies in it relative to that
handle, without following anything (`openat`, ``O_NOFOLLOW``). The handle also stays with the folder when somebody gives
it another name. Where the system has no such handles (Windows), a check stands before each call.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

TEMPORARY = ".tmp"
"""How the names of unfinished files end."""

_CAN_HOLD = {os.open, os.rename, os.unlink, os.mkdir, os.stat} <= os.supports_dir_fd and os.listdir in os.supports_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened to be read: a pipe that stands in its place is not waited for."""
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_LARGE, _PART = 64 << 20, 256
"""A file above so many bytes, with less than one such part of them on the disk, is holes, which no writer makes."""


@dataclass(frozen=True, slots=True)
class HeldFolder:
    """A folder held open.

    Every method raises `OSError` where the system refuses, or something other than a file or folder of its own stands
    under a name.

    Attributes:
        path: how it was named; for messages.
    """

    path: Path
    _place: Path
    _handle: int | None

    @classmethod
    def open(cls, path: Path) -> HeldFolder:
        """Hold a folder that the user named, who may mean a link."""
        place = Path(os.path.abspath(path))  # whatever the process's folder becomes
        if not _CAN_HOLD:
            _check_folder(path)
        return cls(path, place, os.open(path, _FOLDER) if _CAN_HOLD else None)

    @classmethod
    def own(cls, path: Path) -> HeldFolder:
        """Hold a folder that belongs to the one it is in: never one that a link names."""
        if path.name in ("", ".."):
            return cls.open(path)
        with cls.open(path.parent) as above:
            return above.inside(path.name)

    def inside(self, name: str, *, make: bool = False) -> HeldFolder:
        """Hold a folder of its own, which ``make`` makes where there is none; never one that a link names."""
        if make:
            with suppress(FileExistsError):
                self._call(os.mkdir, name)
                self.sync()
        path, place = self.path / _checked(name), self._place / name
        if not _CAN_HOLD:
            if self.kind(name) == "link":
                raise _as_link(name)
            _check_folder(path)
        return HeldFolder(path, place, self.descriptor_of(name, _FOLDER) if _CAN_HOLD else None)

    @classmethod
    def made_in(cls, path: Path, *names: str) -> HeldFolder:
        """Make folders in one that the user named, each in the one before, and hold the last; no link leads to any."""
        held = cls.open(path)
        for name in names:
            with held as above:
                held = above.inside(name, make=True)
        return held

    def __enter__(self) -> HeldFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._handle is not None:
            os.close(self._handle)

    def is_in_place(self) -> bool:
        """Return whether it still has the name under which it was opened."""
        with suppress(OSError):
            there = os.stat(self._place)
            return self._handle is None or os.path.samestat(there, os.fstat(self._handle))
        return False

    def place_now(self) -> Path | None:
        """Return where it lies by now, where the system can tell; ``None`` for one that was removed."""
        with suppress(OSError):
            now = Path(os.readlink(f"/proc/self/fd/{self._handle}"))
            return now if self._handle is not None and now.is_dir() else None
        return None

    # what lies in it

    def names(self) -> list[str]:
        """Return the names of what lies in it, in order."""
        return sorted(os.listdir(self._place if self._handle is None else self._handle))

    def kind(self, name: str) -> str | None:
        """Return what stands under a name: ``file``, ``folder``, ``link`` or ``other``; ``None`` for nothing."""
        about = self._about(name)
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
        return None if about is None else kinds.get(stat.S_IFMT(about.st_mode), "other")

    def names_of(self, name: str) -> int:
        """Return how many names a file has: more than one where another folder holds it, too (hard links)."""
        about = self._about(name)
        return 0 if about is None else about.st_nlink

    def size_of(self, name: str) -> int | None:
        """Return the bytes of one of its files, which is not opened; ``None`` for nothing. No link, as `open_file`."""
        about = self._about(name)
        if about is None:
            return None
        if stat.S_ISLNK(about.st_mode):
            raise _as_link(name)
        _refuse_other(about)
        refuse_holes(about)
        return about.st_size

    def open_file(self, name: str) -> IO[bytes]:
        """Open one of its files for reading, and nothing else: no link, pipe or device, no file that is all holes."""
        return regular(self.descriptor_of(name, READING), refuse_holes)

    def descriptor_of(self, name: str, flags: int, permissions: int = 0o644) -> int:
        """Open what stands under a name, but no link, or make a file there, as these flags of the system say."""
        try:
            return self._open(name, flags | _NO_LINK, permissions)
        except OSError as error:
            if self.kind(name) == "link":  # whatever the system calls it
                raise _as_link(name) from error
            raise

    def read(self, name: str, most: int | None = None) -> bytes:
        """Return the content of one of its files, of at most so many bytes where that is said."""
        with self.open_file(name) as file:
            return read_at_most(file, most)

    # what is changed in it

    def write_file(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Write a file as a whole or not at all; as `new_file`."""
        with self.new_file(name, sync=sync) as file:
            file.write(content)

    def create_file(self, name: str) -> IO[bytes]:
        """Make a file that grows under its name from the start. Raises `OSError` where anything has that name."""
        return os.fdopen(self._open(name, _NEW_FILE, 0o666), "wb")

    @contextmanager
    def new_file(self, name: str, *, sync: bool = True) -> Iterator[IO[bytes]]:
        """Open a temporary file that takes the place of ``name`` once the block has ended.

        Its content is forced to the disk, and then its name, unless ``sync`` is off. Whatever stood under the name
        stays where any of it fails; a link that stands there is replaced, and what it points to is not touched.
        """
        temporary = f"{name}.{secrets.token_hex(4)}{TEMPORARY}"
        try:
            with self.create_file(temporary) as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())

            # the name follows the content to the disk, or a loss of power could leave a name without content
            self.rename(temporary, name)
            if sync:
                self.sync()
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, in place of whatever has it; a link is moved, and not followed."""
        if self._handle is None:
            os.replace(self._place / _checked(name), self._place / _checked(to))
        else:
            os.rename(_checked(name), _checked(to), src_dir_fd=self._handle, dst_dir_fd=self._handle)

    def remove(self, name: str) -> None:
        """Remove a file, or a link and not what it points to; nothing where there is none."""
        with suppress(FileNotFoundError):
            self._call(os.unlink, name)

    def remove_leftovers(self) -> None:
        """Remove the temporary files that killed processes left behind; nobody may be writing there."""
        for name in self.names():
            if name.endswith(TEMPORARY) and self.kind(name) != "folder":
                self.remove(name)

    def sync(self) -> None:
        """Force its names to the disk, where the system can do that: Windows opens no folders."""
        if self._handle is not None:
            sync_names(self._handle)

    def _about(self, name: str) -> os.stat_result | None:
        with suppress(FileNotFoundError):
            about: os.stat_result = self._call(os.stat, name, follow_symlinks=False)
            return about
        return None

    def _open(self, name: str, flags: int, permissions: int = 0o777) -> int:
        if self._handle is None and self.kind(name) == "link":
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        descriptor: int = self._call(os.open, name, flags, permissions)
        return descriptor

    def _call(self, function: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a function of the system for a name in this folder."""
        if self._handle is None:
            return function(self._place / _checked(name), *arguments, **options)
        return function(_checked(name), *arguments, dir_fd=self._handle, **options)


def sync_names(descriptor: int) -> None:
    """Force an open folder's names to the disk; some network file systems do so without being asked, and refuse it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def regular(descriptor: int, check: Callable[[os.stat_result], None] = lambda about: None) -> IO[bytes]:
    """Return what was opened as a file to read. Raises `OSError` for a pipe, a device or a folder."""
    try:
        about = os.fstat(descriptor)
        _refuse_other(about)
        check(about)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def refuse_holes(about: os.stat_result) -> None:
    """Raise `OSError` for a file of holes, whose disk space is next to nothing of its size: to read it takes hours."""
    on_disk = 512 * getattr(about, "st_blocks", about.st_size)  # which Windows does not say
    if about.st_size > _LARGE and on_disk * _PART < about.st_size:
        raise OSError(errno.EINVAL, f"it claims {about.st_size:,} bytes, of which next to none are on the disk")


def read_at_most(file: IO[bytes], most: int | None) -> bytes:
    """Return a file's content. Raises `OSError` for more than so many bytes, which are not read."""
    size = os.fstat(file.fileno()).st_size
    if most is not None and size > most:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, and no such file has more than {most:,}")
    return file.read(size)


def _checked(name: str) -> str:
    """Return a name that stays in its folder; raise `OSError` for any other."""
    if name in ("", ".", "..") or "/" in name or (os.name == "nt" and ("\\" in name or ":" in name)):
        raise OSError(errno.EINVAL, f"'{name}' is no name in a folder")
    return name


def _check_folder(path: Path) -> None:
    """Raise `OSError` where there is no folder: for systems without handles."""
    if not path.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _as_link(name: str) -> OSError:
    return OSError(errno.ELOOP, f"{name} is a symbolic link, which may lead out of the run folder; remove it")


def _refuse_other(about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is no file")
