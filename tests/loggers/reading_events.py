"""Reads TensorBoard's event files as TensorBoard does: checksums, protocol buffers, and what is superseded."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from epochal.held_folder import HeldFolder
from epochal.loggers.event_file import crc32c, event_files


@dataclass
class Events:
    """What TensorBoard shows of a folder: by tag, the steps with their values or texts."""

    scalars: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    walls: list[float] = field(default_factory=list)


def event_paths(folder: Path) -> list[Path]:
    """Return the event files of a folder, in the order of reading."""
    with HeldFolder.open(folder) as held:
        return [folder / name for name in event_files(held)]


def read_events(folder: Path, *, purge: bool = True) -> Events:
    """Return what the files in a folder say, in the order of their names."""
    shown = Events()
    for path in event_paths(folder):
        for message in records(path.read_bytes()):
            event = dict(fields(message))
            step = event.get(2, 0)
            if 7 in event and purge:  # a session begins: forget what stands from its step on
                for tag in shown.scalars:
                    shown.scalars[tag] = [one for one in shown.scalars[tag] if one[0] < step]
            if 5 in event:
                _add(shown, step, event[5])
                shown.walls.append(event[1])
    return shown


def records(content: bytes) -> Iterator[bytes]:
    """Yield the messages of a file, comparing both checksums of each."""
    place = 0
    while place < len(content):
        header = content[place : place + 8]
        (length,) = struct.unpack("<Q", header)
        message = content[place + 12 : place + 12 + length]
        checks = struct.unpack("<I", content[place + 8 : place + 12]) + struct.unpack(
            "<I", content[place + 12 + length : place + 16 + length]
        )
        for data, check in zip((header, message), checks, strict=True):
            crc = crc32c(data)
            if ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF != check:
                raise ValueError("the checksum differs")
        yield message
        place += 16 + length


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield the fields of a message: number and value."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        key = varint()
        match key & 7:
            case 0:
                yield key >> 3, varint()
            case 1:
                yield key >> 3, struct.unpack("<d", message[place : place + 8])[0]
                place += 8
            case 2:
                length = varint()
                yield key >> 3, message[place : place + length]
                place += length
            case 5:
                yield key >> 3, struct.unpack("<f", message[place : place + 4])[0]
                place += 4


def _add(shown: Events, step: int, summary: bytes) -> None:
    for _, value in fields(summary):
        parts = dict(fields(value))
        tag = parts[1].decode()
        if 2 in parts:
            shown.scalars[tag].append((step, parts[2]))
        else:
            shown.texts[tag].append((step, dict(fields(parts[8]))[8].decode()))
