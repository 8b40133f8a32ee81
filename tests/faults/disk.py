"""What a disk holds after a loss of power, rebuilt from the journal of a process's calls.

A file's content and its name are kept apart, as file systems do: content is safe once the file is synced, a name once
its folder is. What is not safe may be there or not, so each moment has several disks.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

_HEAD = struct.Struct("<7q")
_SECTOR = 512


class Kind(IntEnum):
    """What a call did; the numbers are those of `shim.c`."""

    OPEN = 1
    CLOSE = 2
    WRITE = 3
    TRUNCATE = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7
    SYNC = 8
    MARK = 9
    UNSUPPORTED = 10


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changed something, or a mark."""

    kind: Kind
    descriptor: int
    offset: int
    length: int
    flags: int
    first: bytes
    second: bytes

    @property
    def path(self) -> str:
        """The path, or the mark's text."""
        return self.first.decode()


def read_journal(path: Path) -> list[Call]:
    """Read what `shim.c` wrote. Raises `NotImplementedError` for calls that it does not follow."""
    content, calls, at = path.read_bytes(), [], 0
    while at < len(content):
        kind, descriptor, offset, length, flags, first, second = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        call = Call(
            Kind(kind), descriptor, offset, length, flags, content[at : at + first], content[at + first :][:second]
        )
        at += first + second
        if call.kind is Kind.UNSUPPORTED:
            raise NotImplementedError(f"{call.path} changes files in a way that the journal does not follow")
        calls.append(call)
    return calls


@dataclass(slots=True, eq=False)
class _File:
    """A file's content, safe and not, apart from its name."""

    safe: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, bytes), or (size, None)

    def content(self, pending: list[tuple[int, bytes | None]]) -> bytes:
        """Return the safe content with some of the pending changes."""
        data = bytearray(self.safe)
        for offset, written in pending:
            if written is None:
                del data[offset:]
                data.extend(bytes(offset - len(data)))
            else:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(written)] = written
        return bytes(data)


_Names = dict[str, "_File | None"]  # a path's file, or None for a folder
Snapshot = dict[str, bytes | None]
"""A disk's content: each path with its bytes, or with ``None`` for a folder."""


@dataclass(slots=True)
class Disk:
    """A disk under a row of calls.

    Attributes:
        names: all names, as the running system sees them.
        safe_names: those that are there after a loss of power.
        unsafe: changes of names that are not safe yet: folder, name, and what it stands for from then on, if anything.
    """

    names: _Names = field(default_factory=dict)
    safe_names: _Names = field(default_factory=dict)
    unsafe: list[tuple[tuple[str, _File | None, bool], ...]] = field(default_factory=list)
    _open: dict[int, tuple[str, _File | None]] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """Return a disk on which all that lies in the folder is safe."""
        disk = cls()
        for path in sorted(folder.rglob("*")):
            disk.names[str(path)] = None if path.is_dir() else _File(path.read_bytes())
            if path.is_dir():
                disk._folders.add(str(path))
        disk.safe_names = dict(disk.names)
        return disk

    def apply(self, call: Call) -> None:
        """Follow one call."""
        match call.kind:
            case Kind.OPEN:
                self._open_file(call)
            case Kind.CLOSE:
                self._open.pop(call.descriptor, None)
            case Kind.WRITE:
                self._file(call).pending.append((call.offset, call.first))
            case Kind.TRUNCATE:
                self._file(call).pending.append((call.length, None))
            case Kind.RENAME:
                moved = self.names[call.path]
                self._rename((call.path, None, False), (call.second.decode(), moved, True))
            case Kind.UNLINK:
                self._rename((call.path, None, False))
            case Kind.MKDIR:
                self._folders.add(call.path)
                self._rename((call.path, None, True))
            case Kind.SYNC:
                self._sync(call.descriptor)

    def _open_file(self, call: Call) -> None:
        if call.flags & 1:
            self._rename((call.path, _File(), True))
        found = self.names.get(call.path)
        if found is not None and call.flags & 2:
            found.pending.append((0, None))
        self._open[call.descriptor] = (call.path, found)

    def _file(self, call: Call) -> _File:
        file = self._open[call.descriptor][1]
        assert file is not None
        return file

    def _rename(self, *changes: tuple[str, _File | None, bool]) -> None:
        """Change names together: either all of these are safe or none."""
        _apply_names(self.names, changes)
        self.unsafe.append(changes)

    def _sync(self, descriptor: int) -> None:
        path, file = self._open[descriptor]
        if file is not None:
            file.safe, file.pending = file.content(file.pending), []
            return
        settled = [changes for changes in self.unsafe if any(_parent(name) == path for name, _, _ in changes)]
        for changes in settled:
            _apply_names(self.safe_names, changes)
            self.unsafe.remove(changes)

    def after_power_cut(self, seeds: tuple[int, ...] = (0,)) -> Iterator[tuple[str, Snapshot]]:
        """Return the disks that a loss of power at this moment may leave, each with its name.

        Content and names that are not safe are all there, all lost, or one of the two is; and, for each seed, some of
        the changes of names, in their order, with any of the writes, in any order, torn between sectors.
        """
        yield "nothing lost", self._snapshot(self.names, random_=None, keep=True)
        yield "all lost", self._snapshot(self.safe_names, random_=None, keep=False)
        yield "content lost", self._snapshot(self.names, random_=None, keep=False)
        yield "names lost", self._snapshot(self.safe_names, random_=None, keep=True)
        for seed in seeds:
            random_ = random.Random(seed)
            names = dict(self.safe_names)
            for changes in self.unsafe[: random_.randint(0, len(self.unsafe))]:
                _apply_names(names, changes)
            yield f"some lost, seed {seed}", self._snapshot(names, random_, keep=True)

    def _snapshot(self, names: _Names, random_: random.Random | None, *, keep: bool) -> Snapshot:
        found: Snapshot = {}
        for path in sorted(names):
            file = names[path]
            if any(path.startswith(f"{folder}/") for folder in self._folders - names.keys()):
                continue  # its folder was lost
            if file is None:
                found[path] = None
            elif random_ is None:
                found[path] = file.content(file.pending if keep else [])
            else:
                found[path] = file.content(_some(file.pending, random_))
        return found


def _some(pending: list[tuple[int, bytes | None]], random_: random.Random) -> list[tuple[int, bytes | None]]:
    """Return some of the changes, some of them torn after a sector."""
    kept = []
    for offset, written in pending:
        fate = random_.random()
        if fate < 0.6:
            kept.append((offset, written))
        elif fate < 0.8 and written is not None:
            kept.append((offset, written[: random_.randint(0, len(written) // _SECTOR) * _SECTOR]))
    return kept


def _apply_names(names: _Names, changes: tuple[tuple[str, _File | None, bool], ...]) -> None:
    for name, file, there in changes:
        if there:
            names[name] = file
        else:
            names.pop(name, None)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def fingerprint(snapshot: Snapshot) -> str:
    """Return a hash of a disk's content."""
    digest = hashlib.sha256()
    for path, content in snapshot.items():
        digest.update(f"{path}\n".encode())
        digest.update(b"/" if content is None else hashlib.sha256(content).digest())
    return digest.hexdigest()


def write_snapshot(snapshot: Snapshot, was: Path, now: Path) -> None:
    """Put what lay under ``was`` under ``now``."""
    for path, content in snapshot.items():
        if Path(path).is_relative_to(was):
            place = now / Path(path).relative_to(was)
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(content)
