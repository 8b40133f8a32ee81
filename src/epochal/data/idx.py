"""Strict reading of IDX, the format of the MNIST family: header and content must agree to the byte.

A header is two zero bytes, a type code, the number of dimensions, and each dimension as a big-endian 32-bit integer.
Source: Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*, "The IDX file format".
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Shaped

from epochal.data.gzip_stream import MAGIC, open_gzip
from epochal.data.npy_arrays import NoArrayError, refuse_bomb
from epochal.errors import DataError
from epochal.files import open_regular

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 8  # MNIST's have 3
_AT_ONCE = 8 << 20
_TOO_LARGE = 2**55  # NumPy counts the bytes of an empty array's other dimensions, too
_GZIP_LIMIT = 1040  # deflate packs at most 1,032 bytes into one


def read_idx(path: Path, *, dimensions: int | None = None) -> Shaped[np.ndarray, ...]:
    """Return the array in an IDX file, plain or (by its first bytes) gzip.

    Memory is claimed only for what the file's size can hold, whatever its header says.

    Args:
        path: the file.
        dimensions: how many the array must have: 3 for grey images, 1 for labels.

    Raises:
        DataError: one line with the file, what was found, what was expected, and the fix.
    """
    with _reading(path), open_regular(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        packed = raw.read(2) == MAGIC
        raw.seek(0)
        stream = open_gzip(raw) if packed else cast(BufferedIOBase, raw)
        dtype, shape = _header(stream, path, dimensions)

        # memory is claimed for what the file can hold, and no more
        if prod(max(1, size) for size in shape) >= _TOO_LARGE:
            raise DataError(f"{path}: no array has the sizes of its header ({_times(shape)}); get it again")
        limit = size * _GZIP_LIMIT if packed else size
        if prod(shape) * dtype.itemsize > limit:
            promise = f"its header promises {prod(shape) * dtype.itemsize:,} bytes ({_times(shape)})"
            raise DataError(f"{path}: truncated: {promise}, the file has {size:,}; get it again")

        if packed:
            refuse_bomb(prod(shape) * dtype.itemsize, size)
        array = _fill(stream, np.empty(shape, dtype), path)
    return array.astype(dtype.newbyteorder("="), copy=False)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn failures to read or to unpack into a `DataError`."""
    try:
        yield
    except EOFError as error:
        raise DataError(f"{path}: the gzip data end too early: the file is truncated; get it again") from error
    except zlib.error as error:
        raise DataError(f"{path}: damaged gzip data ({error}); get it again") from error
    except NoArrayError as error:
        raise DataError(f"{path}: damaged, or no plain arrays ({error}); get it again") from error
    except (OSError, MemoryError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not enough memory'}") from error


def _header(stream: BufferedIOBase, path: Path, dimensions: int | None) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= _MOST_DIMENSIONS:
        raise DataError(
            f"{path}: begins with the bytes {magic.hex(' ') or '(none)'}, an IDX file with 00 00, a type code and the "
            "number of dimensions (00 00 08 03 for images); is this the right file?"
        )

    if dimensions not in (None, magic[3]):
        raise DataError(
            f"{path}: holds an array of {magic[3]} dimension(s), expected {dimensions}; "
            "are image and label files exchanged?"
        )

    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path}: truncated within its header of {4 + 4 * magic[3]} bytes; get it again")
    return np.dtype(_TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", sizes)


def _fill(stream: BufferedIOBase, array: Shaped[np.ndarray, ...], path: Path) -> Shaped[np.ndarray, ...]:
    """Read straight into ``array``, which must take the rest of the stream exactly."""
    content = array.reshape(-1).view(np.uint8)
    place = 0
    while place < len(content):
        read = stream.readinto(content[place : place + _AT_ONCE].data)
        if not read:
            raise DataError(
                f"{path}: truncated: {place:,} bytes of content, expected {len(content):,} "
                f"({_times(array.shape)}); get it again"
            )

        place += read

    if stream.read(1):
        raise DataError(
            f"{path}: oversized: bytes follow the {len(content):,} that its header announces "
            f"({_times(array.shape)}); get it again"
        )
    return array


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(f"{size:,}" for size in shape)
