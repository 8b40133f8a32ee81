"""Small images inside the page: a PNG file as a data address, written with the standard library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from jaxtyping import UInt8

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
_HEADER = struct.Struct(">IIBBBBB")


def png_file(image: UInt8[np.ndarray, "height width *colours"]) -> bytes:
    """Return an image, uint8 ``(height, width)`` or ``(height, width, 3)``, as a PNG file.

    Source: PNG specification, third edition, W3C 2025: signature, then IHDR, IDAT and IEND, every row unfiltered.
    """
    height, width = image.shape[:2]
    kind = _GREY if image.ndim == 2 else _COLOUR
    rows = np.ascontiguousarray(image, np.uint8).reshape(height, -1)
    unfiltered = np.zeros((height, 1), np.uint8)
    return (
        _SIGNATURE
        + _chunk(b"IHDR", _HEADER.pack(width, height, 8, kind, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(np.hstack([unfiltered, rows]).tobytes(), 9))
        + _chunk(b"IEND", b"")
    )


def png_address(image: UInt8[np.ndarray, "height width *colours"]) -> str:
    """Return an image as a ``data:`` address, as `png_file` writes it."""
    return "data:image/png;base64," + base64.b64encode(png_file(image)).decode("ascii")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
