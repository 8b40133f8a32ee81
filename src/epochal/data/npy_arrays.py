"""Strict reading of NumPy's files: an array takes memory for what its file holds, whatever the header says.

A header is a magic number, a version, its length, and a Python dictionary of three literals; the content follows.
Source: NumPy Enhancement Proposal 1, *A Simple File Format for NumPy Arrays*.
"""

from __future__ import annotations

import ast
import os
import re
import struct
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedIOBase
from math import prod
from typing import IO, Any, Final, TypeAlias

import numpy as np
from jaxtyping import Shaped

from epochal.errors import brief, shortened_line

Stream: TypeAlias = IO[bytes] | BufferedIOBase

_MAGIC: Final = b"\x93NUMPY"
_LONGEST_HEADER: Final = 10_000  # characters, as NumPy itself allows
_MOST_DIMENSIONS: Final = 64
_TYPE: Final = re.compile(r"[<>|=]?(b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SU][1-9]\d{0,8}|[Mm]8(\[\w{1,8}\])?)")
_CHUNK: Final = 1 << 20
_LAST_LETTER: Final = 0x10FFFF
SMALL: Final = 32 << 20
"""Bytes that may be packed to any ratio: what a stranger's file takes at most."""
_HIGHEST_RATIO: Final = 100  # of more: what packs numbers or texts better holds next to nothing


class NoArrayError(ValueError):
    """What a file holds is not the array that it says it is; its text is one line, whatever an array is called."""

    def __str__(self) -> str:
        return shortened_line(super().__str__())


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What a file says of its array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_by_columns: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the content."""
        return prod(self.shape) * self.dtype.itemsize


def read_header(stream: Stream) -> NpyHeader:
    """Read the header of an array. Raises `NoArrayError`."""
    start = _exactly(stream, 8)
    if start[:6] != _MAGIC:
        raise NoArrayError("it is no array of numpy.save")
    if start[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise NoArrayError(f"version {start[6]}.{start[7]} of the format is unknown")

    form = "<H" if start[6] == 1 else "<I"
    (length,) = struct.unpack(form, _exactly(stream, struct.calcsize(form)))
    if length > _LONGEST_HEADER:
        raise NoArrayError(f"its header has {length:,} bytes")
    said = _literal(_exactly(stream, length).decode("utf-8" if start[6] == 3 else "latin-1", "replace"))

    if not isinstance(said, dict) or said.keys() != {"descr", "fortran_order", "shape"}:
        raise NoArrayError("its header is no dictionary of descr, fortran_order and shape")
    return NpyHeader(_dtype(said["descr"]), _shape(said["shape"]), _boolean(said["fortran_order"]))


def read_npy(stream: Stream, size: int) -> Shaped[np.ndarray, ...]:
    """Read an array whose file has ``size`` bytes. Raises `NoArrayError`, and what reading the stream raises."""
    header = read_header(stream)
    if header.nbytes > size:
        raise NoArrayError(f"its header promises {header.nbytes:,} bytes, the file has {size:,}: it is truncated")

    content = np.empty(header.nbytes, np.uint8)
    place = 0
    while place < len(content):
        piece = _exactly(stream, min(_CHUNK, len(content) - place))
        content[place : place + len(piece)] = np.frombuffer(piece, np.uint8)
        place += len(piece)

    array = _as_array(content, header)
    _check_letters(array)
    return array


def read_members(file: Stream) -> dict[str, Shaped[np.ndarray, ...]]:
    """Read the arrays in an archive of `numpy.savez`. Raises `NoArrayError`, `OSError` or `MemoryError`."""
    size = file.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            check_members(members, size)
            arrays = {}
            for member in members:
                with archive.open(member) as stream:
                    arrays[member.filename.removesuffix(".npy")] = read_npy(stream, member.file_size)
                    if stream.read(1):  # which also compares the checksum
                        raise NoArrayError(f"{member.filename}: bytes follow its content")
            return arrays
    except NoArrayError:
        raise
    # whatever `zipfile` meets in a damaged directory
    except (ValueError, OverflowError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise NoArrayError(brief(error)) from error


def check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse an archive of ``size`` bytes that `numpy.savez` would not write. Raises `NoArrayError`."""
    for one in members:
        if one.flag_bits & 1:
            raise NoArrayError(f"{one.filename} is encrypted")
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NoArrayError(f"{one.filename} is packed in a way that numpy.savez does not use")
        if not one.filename.endswith(".npy"):
            raise NoArrayError(f"{one.filename} is no array of numpy.save")
    if len({one.filename for one in members}) < len(members):
        raise NoArrayError("it holds two arrays of one name")
    refuse_bomb(sum(one.file_size for one in members), size)


def most_unpacked(packed: int) -> int:
    """Return how many bytes a file of so many may unpack to."""
    return max(SMALL, _HIGHEST_RATIO * packed)


def refuse_bomb(unpacked: int, packed: int) -> None:
    """Refuse what would take far more memory than its file suggests. Raises `NoArrayError`."""
    if unpacked > most_unpacked(packed):
        raise NoArrayError(
            f"{packed:,} bytes unpack to {unpacked:,}, {unpacked // max(1, packed):,} times as many; unpack them first"
        )


def _exactly(stream: Stream, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise NoArrayError("it ends too early")
    return content


def _literal(text: str) -> Any:
    with suppress(SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return ast.literal_eval(text.strip())
    return None


def _dtype(said: Any) -> np.dtype[Any]:
    with suppress(TypeError, ValueError):
        if isinstance(said, str) and _TYPE.fullmatch(said):
            return np.dtype(said)
    raise NoArrayError("it holds Python objects, or is no array of numbers or texts")


def _shape(said: Any) -> tuple[int, ...]:
    is_shape = isinstance(said, tuple) and all(type(one) is int and 0 <= one < 2**62 for one in said)
    # NumPy counts the bytes of an empty array's other dimensions, too
    if not is_shape or len(said) > _MOST_DIMENSIONS or prod(max(1, one) for one in said) >= 2**55:
        raise NoArrayError("its header holds no possible shape")
    return tuple(said)


def _boolean(said: Any) -> bool:
    if type(said) is not bool:
        raise NoArrayError("its header does not say in which order its numbers are")
    return said


def _as_array(content: Shaped[np.ndarray, " bytes"], header: NpyHeader) -> Shaped[np.ndarray, ...]:
    """Return bytes as an array, without copying them."""
    shape = header.shape[::-1] if header.is_by_columns else header.shape
    array: Shaped[np.ndarray, ...] = content.view(header.dtype).reshape(shape)
    return array.T if header.is_by_columns else array


def _check_letters(array: Shaped[np.ndarray, ...]) -> None:
    """Refuse texts with numbers that are no letters: Python itself fails on them later."""
    if array.dtype.kind != "U" or not array.size:
        return
    letters = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    if letters.max() > _LAST_LETTER:
        raise NoArrayError("its texts hold numbers that are no letters")
