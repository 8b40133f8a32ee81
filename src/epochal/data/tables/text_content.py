"""From the bytes of a table in text to its text: encodings, compression, and marks at the beginning."""

from __future__ import annotations

import codecs
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from epochal.data.gzip_stream import MAGIC, open_gzip
from epochal.data.npy_arrays import most_unpacked
from epochal.errors import DataError
from epochal.files import open_regular

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
          codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip

_MOST_BYTES = 1 << 33
_PIECE = 1 << 20


class NotThisEncodingError(DataError):
    """A text is not in the encoding that it was taken for."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file's text as bytes in UTF-8."""

    encoded: bytes

    def lines(self, most: int | None = None) -> io.TextIOWrapper:
        """Return its lines, or as many as there are in so many bytes; the text is decoded piece by piece."""
        head, errors = (self.encoded, "strict") if most is None else (self.encoded[:most], "ignore")
        return io.TextIOWrapper(io.BytesIO(head), "utf-8", errors, newline="")


def read_content(path: Path, encoding: str | None) -> Content:
    """Return a file's text, unpacked if need be."""
    raw = _bytes(path)
    marked = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    if chosen == "utf-8" and b"\0" not in raw and not raw.startswith(codecs.BOM_UTF8) and _is_utf8(raw):
        return Content(raw)
    try:
        text = raw.decode(chosen)
    except LookupError:
        raise DataError(f"unknown encoding '{encoding}'; known are utf-8, utf-16, gbk, latin-1 …") from None
    except UnicodeError as error:
        place = f" ({error.reason} at byte {error.start:,})" if isinstance(error, UnicodeDecodeError) else ""
        raise NotThisEncodingError(
            f"{path}: not text in {chosen.upper()}{place}; say its encoding, such as "
            "--encoding gbk or --encoding latin-1"
        ) from error

    if "\0" in text:
        likely = "UTF-16 (--encoding utf-16)" if not marked else "no text"
        raise NotThisEncodingError(f"{path}: holds zero bytes, so it is no plain text table; perhaps it is {likely}")
    return Content(text.removeprefix("\ufeff").encode())


def _is_utf8(raw: bytes) -> bool:
    """Return whether bytes are text in UTF-8, without a copy of all of it, whose letters may take four bytes each."""
    if raw.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(raw), _PIECE):
            decoder.decode(raw[start : start + _PIECE], final=start + _PIECE >= len(raw))
    except UnicodeError:
        return False
    return True


def _bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            raw = file.read(_MOST_BYTES)
        if not raw.startswith(MAGIC):
            return raw
        with open_gzip(io.BytesIO(raw)) as unpacked:
            most = min(_MOST_BYTES, most_unpacked(len(raw)))
            content = unpacked.read(most + 1)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: a damaged or truncated gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > most:
        raise DataError(
            f"{path}: its {len(raw):,} bytes unpack to more than {most:,}; unpack it first, or use a part of it"
        )
    return content
