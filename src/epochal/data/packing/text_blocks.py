"""Tables in text that are larger than the memory: the file's text in blocks of whole lines, each read as columns."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from epochal.data.gzip_stream import MAGIC, open_gzip
from epochal.data.load_options import LoadOptions
from epochal.data.tables.exact_reader import read_exactly
from epochal.data.tables.text_content import MARKS, Content
from epochal.data.tables.text_format import TextFormat
from epochal.data.tables.text_reader import (
    first_rows,
    read_fast,
    recognise,
)
from epochal.data.tables.values import has_decimal_comma
from epochal.errors import DataError
from epochal.files import open_regular

BLOCK = 8 << 20
"""Bytes of text that are read as columns together."""

_MOST = 1 << 28  # bytes without the end of a line


class TextColumns(NamedTuple):
    """The columns of a table's next rows, of floats or of texts.

    Attributes:
        form: how the table is written.
        columns: in the file's order.
        kept: columns whose texts are kept, whatever they look like.
        has_decimal_comma: whether the file writes 3,5 for 3.5.
    """

    form: TextFormat
    columns: list[Shaped[np.ndarray, " n"]]
    kept: tuple[str, ...]
    has_decimal_comma: bool


def read_text_blocks(path: Path, options: LoadOptions, as_text: Sequence[str]) -> Iterator[TextColumns]:
    """Yield the columns of a text table, block by block; as `read_text_table` reads all of them.

    ``as_text``: columns that hold other things than numbers in later rows. Raises `DataError` with the line.
    """
    form: TextFormat | None = None
    sample: list[list[str]] = []
    kept: tuple[str, ...] = ()
    lines, comma = 0, False
    for encoded in _blocks(path, options.encoding):
        content = Content(encoded)
        if form is None:
            separator, sample = first_rows(content, path)
            form = recognise(path, separator, sample, False if options.no_header else None, None)
            asked = options.of_table.kept_as_text
            kept = (form.last_named,) if asked is None else tuple(asked)
            own = form
        else:
            own = replace(form, has_header=False)

        body = sample[form.has_header :] if own is not form else sample
        columns = read_fast(content, own, body, (*kept, *as_text))
        if columns is None:
            columns = read_exactly(content, path, own, lines)
        if own is form:
            texts = [values for values in columns if values.dtype.kind != "f"]
            comma = form.separator != "," and has_decimal_comma(texts)
        lines += encoded.count(b"\n")
        yield TextColumns(form, columns, kept, comma)


def _blocks(path: Path, encoding: str | None) -> Iterator[bytes]:
    """Yield a file's text in UTF-8, in blocks that end with a row. Raises `DataError` as `read_text_table` does."""
    rest = b""
    for piece in _pieces(path, encoding):
        block = rest + piece
        end = _last_end(block)
        if not end and len(block) > _MOST:
            raise DataError(f"{path}: a quote that is never closed, or a line of more than {_MOST >> 20} MB; fix it")
        rest = block[end:]
        if end:
            yield block[:end]
    if rest.strip():
        yield rest


def _pieces(path: Path, encoding: str | None) -> Iterator[bytes]:
    """Yield a file's text, unpacked if need be, in UTF-8."""
    try:
        with open_regular(path) as file:
            start = file.read(4)
            file.seek(0)
            source: Any = open_gzip(file) if start.startswith(MAGIC) else file
            yield from _decoded(source, path, encoding)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: a damaged or truncated gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _decoded(source: Any, path: Path, encoding: str | None) -> Iterator[bytes]:
    raw = source.read(BLOCK)
    marked = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    try:
        decoder = codecs.getincrementaldecoder(chosen)()
    except LookupError:
        raise DataError(f"unknown encoding '{encoding}'; known are utf-8, utf-16, gbk, latin-1 …") from None

    first = True
    while True:
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeError as error:
            raise DataError(
                f"{path}: not text in {chosen.upper()}; say its encoding, such as --encoding gbk or --encoding latin-1"
            ) from error
        if "\0" in text:
            likely = "UTF-16 (--encoding utf-16)" if not marked else "no text"
            raise DataError(f"{path}: holds zero bytes, so it is no plain text table; perhaps it is {likely}")
        yield (text.removeprefix("\ufeff") if first else text).encode()
        if not raw:
            return
        first = False
        raw = source.read(BLOCK)


def _last_end(block: bytes) -> int:
    """Return where the last whole row of a text ends, outside of quotes; 0 where there is none."""
    if b'"' not in block:
        return block.rfind(b"\n") + 1
    symbols = np.frombuffer(block, np.uint8)
    outside = np.cumsum(symbols == ord('"'), dtype=np.uint8) & 1 == 0  # an overflow keeps odd and even apart
    ends = np.flatnonzero((symbols == ord("\n")) & outside)
    return int(ends[-1]) + 1 if len(ends) else 0
