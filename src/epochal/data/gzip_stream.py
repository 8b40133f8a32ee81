"""Gzip files, unpacked in large pieces: other threads work meanwhile.

Python's `gzip` unpacks at most 8 KiB at a time (128 from 3.12 on), and waits after each for the lock of the
interpreter. Beside a thread that imports JAX, which holds the lock, MNIST was hardly unpacked before that was over.
"""

from __future__ import annotations

import zlib
from io import BufferedReader, BytesIO, RawIOBase
from typing import IO, Any, Final

MAGIC: Final = b"\x1f\x8b"
"""How each gzip file begins."""

_PIECE: Final = 1 << 20
_LEAST: Final = 1 << 16
"""Bytes that are read at a time, and that are unpacked for a smaller request."""
_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib checks the header, the length and the checksum of a member


def open_gzip(packed: IO[bytes] | BytesIO) -> BufferedReader:
    """Return a gzip file's content as a stream; large requests are unpacked as a whole.

    Reading it raises `EOFError` for a file that ends too early, and `zlib.error` for a damaged one.
    """
    return BufferedReader(_Unpacking(packed), _LEAST)


class _Unpacking(RawIOBase):
    def __init__(self, packed: IO[bytes] | BytesIO) -> None:
        self._packed, self._member, self._piece = packed, zlib.decompressobj(_GZIP), b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack the next bytes."""
        while not self._member.eof or self._begin_next():
            piece = self._piece or self._packed.read(_PIECE)
            content = self._member.decompress(piece, len(buffer))
            self._piece = self._member.unconsumed_tail
            if content:
                buffer[: len(content)] = content
                return len(content)
            if not piece and not self._member.eof:
                raise EOFError("it ends before its content does")
        return 0

    def _begin_next(self) -> bool:
        """Go on to the member that follows, if one does: files may be put together, and filled up with zeros."""
        self._piece = self._member.unused_data.lstrip(b"\0")
        while not self._piece and (piece := self._packed.read(_PIECE)):
            self._piece = piece.lstrip(b"\0")
        if self._piece:
            self._member = zlib.decompressobj(_GZIP)
        return bool(self._piece)
