"""TensorBoard's event files: many scalars in one stroke of NumPy, hundreds of times faster than one by one.

A file is a row of records: length, checksum, an `Event` message of protocol buffers, checksum. All events of one tag
have one layout, in which only the bytes of the step and of the value differ, so that thousands of them are columns of
one array. Their checksums, too: a CRC is linear, so each differing byte adds its own share to that of the rest.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from functools import cache
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from epochal.held_folder import HeldFolder

Words: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint32]]

_NAME = "events.out.tfevents."
_OWN_NAME = re.compile(re.escape(_NAME) + r"[0-9]{1,15}(\.|$)")
_STEP_BYTES = 6  # a number of fixed length: up to 2⁴² iterations; readers take its leading zeros
_TEXT = 7  # DT_STRING


class EventFile:
    """An event file that is written to.

    Args:
        folder: where TensorBoard looks.
        purge_from: events of earlier files from this step on are superseded.

    Raises:
        OSError: where it cannot be written, then or later.
    """

    def __init__(self, folder: HeldFolder, purge_from: int | None = None) -> None:
        # readers go by name, so that a later file's second must be a later one
        seconds = [int(name.split(".")[3]) for name in event_files(folder)]
        second = max([int(time.time()), *(one + 1 for one in seconds)])
        self._file = folder.create_file(f"{_NAME}{second:010d}.{socket.gethostname()}")

        self._file.write(_record(_wall(time.time()) + _field(3, b"brain.Event:2")))
        if purge_from is not None:
            start = _field(7, b"\x08\x01")  # a session's START, from whose step on readers forget
            self._file.write(_record(_wall(time.time()) + b"\x10" + _varint(purge_from) + start))
        self._file.flush()

    def add_scalars(self, tag: str, first_step: int, values: Float32[np.ndarray, " n"], wall: float) -> None:
        """Add a value for each of the steps from ``first_step`` on, all of one time."""
        self._file.write(scalar_records(tag, first_step, values, wall))

    def add_text(self, tag: str, step: int, text: str, wall: float) -> None:
        """Add a text, shown as Markdown."""
        tensor = b"\x08" + _varint(_TEXT) + _field(8, text.encode())
        plugin = _field(9, _field(1, _field(1, b"text")))
        value = _field(1, tag.encode()) + plugin + _field(8, tensor)
        self._file.write(_record(_wall(wall) + b"\x10" + _varint(step) + _field(5, _field(1, value))))

    def flush(self) -> None:
        """Hand everything to the system, so that it survives this process."""
        self._file.flush()

    def close(self) -> None:
        """Write the rest and close."""
        self._file.close()


def event_files(folder: HeldFolder) -> list[str]:
    """Return the names of the event files in a folder that a file of ours has to follow, in the order of reading."""
    return [name for name in folder.names() if _OWN_NAME.match(name)]


def scalar_records(tag: str, first_step: int, values: Float32[np.ndarray, " n"], wall: float) -> bytes:
    """Return the records of a value for each of the steps from ``first_step`` on."""
    name = _field(1, tag.encode())
    inner = _varint(len(name) + 5)  # the value's own: tag, one byte that announces a float, the float
    message = b"\x0a" + inner + name + b"\x15"
    before = _wall(wall) + b"\x10"
    after = b"\x2a" + _varint(len(message) + 4) + message

    # one event with a step and a value of zeros
    zeros = b"\x80" * (_STEP_BYTES - 1) + b"\x00"
    event = before + zeros + after + bytes(4)
    header = struct.pack("<Q", len(event))
    row = header + _check(header) + event + bytes(4)
    records = np.tile(np.frombuffer(row, np.uint8), (values.size, 1))

    # the bytes that differ
    steps = np.arange(first_step, first_step + values.size, dtype=np.int64)
    digits = (steps[:, None] >> (7 * np.arange(_STEP_BYTES))) & 0x7F
    step_at, value_at = 12 + len(before), 12 + len(event) - 4
    records[:, step_at : step_at + _STEP_BYTES] |= digits.astype(np.uint8)
    records[:, value_at : value_at + 4] = values.astype("<f4").view(np.uint8).reshape(-1, 4)

    # and what each of them adds to the checksum; the announcing bits of the step's bytes are in the row's already
    crc: Words = np.full(values.size, crc32c(event), np.uint32)
    for place in range(_STEP_BYTES):
        crc ^= _shares(len(event) - len(before) - place - 1)[digits[:, place]]
    for place in range(4):
        crc ^= _shares(3 - place)[records[:, value_at + place]]
    records[:, -4:] = _masked(crc).astype("<u4").view(np.uint8).reshape(-1, 4)
    return records.tobytes()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = int(table[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> Words:
    """Return what each byte leaves in the register."""
    table: Words = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ (np.uint32(0x82F63B78) * (table & np.uint32(1)))
    return table


@cache
def _shares(following: int) -> Words:
    """Return what each value of a byte, with so many bytes after it, adds to a message's CRC."""
    table = _table()
    shares = table
    for _ in range(following):
        shares = table[shares & np.uint32(0xFF)] ^ (shares >> np.uint32(8))
    return shares


def _masked(crc: Words) -> Words:
    """Return checksums as they are written, so that one of data that hold checksums is no trivial one."""
    return (crc >> np.uint32(15) | crc << np.uint32(17)) + np.uint32(0xA282EAD8)


def _check(data: bytes) -> bytes:
    """Return the checksum of some bytes as it is written."""
    return _masked(np.array([crc32c(data)], np.uint32)).astype("<u4").tobytes()


def _record(event: bytes) -> bytes:
    header = struct.pack("<Q", len(event))
    return header + _check(header) + event + _check(event)


def _wall(seconds: float) -> bytes:
    return b"\x09" + struct.pack("<d", seconds)


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes: a text or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
