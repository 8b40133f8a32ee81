"""What a disk holds after a loss of power, rebuilt from the journal of a process's calls.

A file's content and its name are kept apart, as file systems do: content is safe once the file is synced, a name once
its folder is. What is not safe may be there or not, so each moment has several disks.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

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

    def sync(self) -> None:
        """Make the content safe."""
        self.safe, self.pending = self.content(self.pending), []


_Names = dict[str, "_File | _Folder"]
_Change = tuple[tuple[str, "_File | _Folder | None"], ...]


@dataclass(slots=True, eq=False)
class _Folder:
    """A folder's names: as the running system sees them, as they are safe, and the changes in between, in order.

    A change is one or two names together, each with what it stands for from then on, if anything.
    """

    names: _Names = field(default_factory=dict)
    safe: _Names = field(default_factory=dict)
    pending: list[_Change] = field(default_factory=list)

    def change(self, *change: tuple[str, _File | _Folder | None]) -> None:
        """Change names together: either all of these are safe or none."""
        _apply(self.names, change)
        self.pending.append(change)

    def after(self, pending: list[_Change]) -> _Names:
        """Return the safe names with some of the pending changes."""
        names = dict(self.safe)
        for change in pending:
            _apply(names, change)
        return names

    def sync(self) -> None:
        """Make the names safe."""
        self.safe, self.pending = dict(self.names), []


def _apply(names: _Names, change: _Change) -> None:
    for name, node in change:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


Snapshot = dict[str, bytes | None]
"""A disk's content: each path with its bytes, or with ``None`` for a folder."""


@dataclass(slots=True)
class Disk:
    """A disk under a row of calls; what was there before the first is safe."""

    root: _Folder = field(default_factory=_Folder)
    _open: dict[int, _File | _Folder] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """Return a disk that holds what lies in the folder."""
        disk = cls()
        for path in sorted(folder.rglob("*")):
            above, name = disk._place(str(path))
            above.names[name] = above.safe[name] = _Folder() if path.is_dir() else _File(path.read_bytes())
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
                self._move(self._place(call.path), self._place(call.second.decode()))
            case Kind.UNLINK:
                folder, name = self._place(call.path)
                folder.change((name, None))
            case Kind.MKDIR:
                folder, name = self._place(call.path)
                folder.change((name, _Folder()))
            case Kind.SYNC:
                self._open[call.descriptor].sync()

    def _place(self, path: str) -> tuple[_Folder, str]:
        """Return the folder that a path lies in, and its name there."""
        *above, name = path.strip("/").split("/")
        folder = self.root
        for part in above:
            if part not in folder.names:
                folder.names[part] = folder.safe[part] = _Folder()  # it was there before
            found = folder.names[part]
            assert isinstance(found, _Folder)
            folder = found
        return folder, name

    def _open_file(self, call: Call) -> None:
        folder, name = self._place(call.path)
        if call.flags & 1:
            folder.change((name, _File()))
        found = folder.names.setdefault(name, _Folder())  # what is opened and was not made here is a folder from before
        if isinstance(found, _File) and call.flags & 2:
            found.pending.append((0, None))
        self._open[call.descriptor] = found

    def _file(self, call: Call) -> _File:
        file = self._open[call.descriptor]
        assert isinstance(file, _File)
        return file

    def _move(self, old: tuple[_Folder, str], new: tuple[_Folder, str]) -> None:
        node = old[0].names[old[1]]
        if old[0] is new[0]:
            old[0].change((old[1], None), (new[1], node))
        else:
            old[0].change((old[1], None))
            new[0].change((new[1], node))

    def after_power_cut(self, seeds: tuple[int, ...] = (0,)) -> Iterator[tuple[str, Snapshot]]:
        """Return the disks that a loss of power at this moment may leave, each with its name.

        Content and names that are not safe are all there, all lost, or one of the two is; and, for each seed, some of
        the changes of names, in their order, with any of the writes, in any order, torn between sectors.
        """
        for loss, names_kept, content_kept in (
            ("nothing lost", True, True),
            ("all lost", False, False),
            ("content lost", True, False),
            ("names lost", False, True),
        ):
            yield loss, _snapshot(self.root, "", _all if names_kept else _none, _all if content_kept else _none)
        for seed in seeds:
            random_ = random.Random(seed)
            names, contents = partial(_first, random_), partial(_some, random_)
            yield f"some lost, seed {seed}", _snapshot(self.root, "", names, contents)


def _snapshot(folder: _Folder, path: str, names: _Choice, contents: _Choice) -> Snapshot:
    """Return what is in a folder where some of the pending changes of names and contents are on the disk."""
    found: Snapshot = {}
    for name, node in sorted(folder.after(names(folder.pending)).items()):
        place = f"{path}/{name}"
        if isinstance(node, _File):
            found[place] = node.content(contents(node.pending))
        else:
            found[place] = None
            found |= _snapshot(node, place, names, contents)
    return found


_Choice = Callable[[list[Any]], list[Any]]


def _all(pending: list[Any]) -> list[Any]:
    return pending


def _none(pending: list[Any]) -> list[Any]:
    return []


def _first(random_: random.Random, pending: list[Any]) -> list[Any]:
    """Return some of the changes, from the first on."""
    return pending[: random_.randint(0, len(pending))]


def _some(random_: random.Random, pending: list[Any]) -> list[Any]:
    """Return some of the changes, some of them torn after a sector."""
    kept = []
    for offset, written in pending:
        fate = random_.random()
        if fate < 0.6:
            kept.append((offset, written))
        elif fate < 0.8 and written is not None:
            kept.append((offset, written[: random_.randint(0, len(written) // _SECTOR) * _SECTOR]))
    return kept


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
