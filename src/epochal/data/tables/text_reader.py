"""Tables in text: encodings, separators, a line of names or none, and every line accounted for.

Polars reads plain lines where it is installed. Elsewhere, and where anything is odd, Python's own `csv` module does; it
also names the line of what is wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from epochal.data.tables.exact_reader import read_exactly
from epochal.data.tables.frame_reader import library_errors
from epochal.data.tables.table import Column, Table
from epochal.data.tables.text_content import Content, read_content
from epochal.data.tables.text_format import MOST_LETTERS, TextFormat, is_blank
from epochal.data.tables.values import (
    MISSING,
    has_decimal_comma,
    is_missing,
    is_number,
    to_column,
)
from epochal.errors import DataError

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".csv.gz", ".tsv.gz", ".data.gz", ".txt.gz")

_SEPARATORS = ",;\t|"
_SAMPLE = 200  # lines that are looked at for separator, names and types
_HEAD = 1 << 18  # characters that hold so many lines, mostly
_BLANKS = (b"\x1c", b"\x1d", b"\x1e", b"\x1f")  # which Python strips from texts, and Polars does not
_PIECE = 1 << 19  # bytes that are counted at once: they and their marks stay in the cache

Texts = Shaped[np.ndarray, " n"]


def read_text_table(
    path: Path,
    *,
    encoding: str | None = None,
    has_header: bool | None = None,
    as_text: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Table:
    """Return the table in a text file, plain or gzip.

    Args:
        path: with values separated by commas, semicolons, tabs or bars.
        encoding: of the text. Default: UTF-8, or what its first bytes say (UTF-8 with a mark, UTF-16).
        has_header: whether the first line holds names. Default: what it looks like.
        as_text: columns whose values are kept as texts, whatever they look like. Default: the last.
        names: of the columns, where the file has no line of them and they are known.

    Raises:
        DataError: for a file that cannot be read, lines of other lengths and quotes without an end, with the line.
    """
    content = read_content(path, encoding)
    separator, rows = first_rows(content, path)
    form = recognise(path, separator, rows, has_header, names)
    if len(rows) <= form.has_header:
        raise DataError(f"{path}: has a line of column names but no rows")

    kept = (form.last_named,) if as_text is None else tuple(as_text)
    columns = read_fast(content, form, rows, kept)
    if columns is None:
        columns = read_exactly(content, path, form, as_text=kept)
    notes = () if form.has_header else (f"{path.name}: no line of column names; they are called {form.names[0]} …",)
    return _typed(path, content, form, columns, kept, notes)


# --- separator and names --------------------------------------------------------------------------------------------


def first_rows(content: Content, path: Path) -> tuple[str, list[list[str]]]:
    """Return the separator and the first rows: of several, the separator that gives most columns to all lines alike."""
    lines = content.lines(_HEAD)
    start = "".join(islice(lines, _SAMPLE))
    if not lines.readline() and len(content.encoded) > _HEAD:  # a few very long lines
        start = "".join(islice(content.lines(), _SAMPLE))
    if not start.strip():
        raise DataError(f"{path}: one column only (empty); features and a target are needed")

    # a sample that was cut within quotes has a last row that is none
    cut = len(start.encode()) < len(content.encoded)
    best: tuple[tuple[int, ...], str, list[list[str]]] | None = None
    csv.field_size_limit(MOST_LETTERS)
    for place, separator in enumerate(_SEPARATORS):
        rows = [row for row in csv.reader(io.StringIO(start, newline=""), delimiter=separator) if not is_blank(row)]
        rows = rows[:-1] if cut and len(rows) > 1 else rows
        if not rows:
            raise DataError(f"{path}: one column only (empty); features and a target are needed")
        counts = [len(row) for row in rows]
        usual = max(set(counts), key=counts.count)
        alike = counts.count(usual)
        preferred = path.name.lower().removesuffix(".gz").endswith(".tsv") and separator == "\t"
        score = (int(usual > 1) + int(usual > 1 and preferred), alike * min(usual, 2), usual, -place)
        if best is None or score > best[0]:
            best = (score, separator, rows)
    assert best is not None
    return best[1], best[2]


def recognise(
    path: Path, separator: str, rows: list[list[str]], has_header: bool | None, names: Sequence[str] | None
) -> TextFormat:
    """Return how a table is written, as its first rows say. Raises `DataError` where that is unclear."""
    first = [cell.strip() for cell in rows[0]]
    if len(first) < 2 and "\n" in first[0]:
        raise DataError(f"{path}: line 1: a quote that is never closed; close it, or write a quote within text twice")
    if len(first) < 2 and names is None:
        raise DataError(f"{path}: one column only ({_brief(first)}); features and a target are needed")

    header = _looks_like_names(path, first, rows[1:]) if has_header is None else has_header
    if header:
        repeated = next((name for name in first if first.count(name) > 1 and name), None)
        if repeated is not None:
            raise DataError(f"{path}: two columns are named '{_brief([repeated])}'; give each its own name")
        filled = tuple(name or f"column {at + 1}" for at, name in enumerate(first))
        return TextFormat(separator, filled, True, tuple(set(filled) - set(first)))
    made_up = tuple(f"column {number + 1}" for number in range(len(first)))
    return TextFormat(separator, tuple(names) if names and len(names) == len(first) else made_up, False)


def _looks_like_names(path: Path, first: list[str], rest: list[list[str]]) -> bool:
    """Return whether a first line holds names. Raises `DataError` where it could be either."""
    if not rest:
        return not any(map(is_written_number, first))

    # what stands in the first line, beside what stands below it
    names, numbers, recurring, words = 0, 0, 0, 0
    for at, cell in enumerate(first):
        below = [row[at].strip() for row in rest if len(row) > at and not is_missing(row[at])]
        holds_numbers = bool(below) and all(map(is_written_number, below))
        if is_missing(cell):
            continue
        if is_written_number(cell):
            numbers += holds_numbers
        elif holds_numbers:
            names += 1
        elif cell in below:
            recurring += 1
        else:
            words += 1

    if names and not numbers:
        return True
    if not names and not words and (numbers or recurring):
        return False
    if not names and not numbers and recurring < max(1, words):
        return True
    raise DataError(
        f"{path}: its first line ({_brief(first)}) could be names or a "
        "sample; if it is a sample, say --no-header; if it holds names, none of them may be a number"
    )


def _brief(cells: Sequence[str]) -> str:
    """Return some cells for a message of one line."""
    shown = [f"{' '.join(cell.split()):.30}" for cell in cells[:4]]
    return ", ".join([*shown, *(["…"] if len(cells) > 4 else [])]) or "empty"


def is_written_number(text: str) -> bool:
    """Return whether a text is a number, with a decimal comma perhaps."""
    return is_number(text) or is_number(text.replace(",", ".", 1))


# --- rows -----------------------------------------------------------------------------------------------------------


def read_fast(content: Content, form: TextFormat, rows: list[list[str]], as_text: Sequence[str]) -> list[Texts] | None:
    """Return the columns as Polars reads them: numbers or texts; ``None`` where it is not there or anything is odd."""
    encoded = content.encoded
    if find_spec("polars") is None or _is_odd(encoded, form.separator):
        return None
    import polars as pl

    body = rows[form.has_header :]
    kinds: dict[str, type[pl.DataType]] = {}
    for at, name in enumerate(form.names):
        plain = name not in as_text and all(len(row) > at and (row[at] == "" or is_number(row[at])) for row in body)
        kinds[str(at)] = pl.Float64 if plain else pl.String

    for schema in (kinds, dict.fromkeys(kinds, pl.String)):
        with suppress(DataError), library_errors(DataError):
            frame = pl.read_csv(
                encoded,
                has_header=False,
                skip_rows=int(form.has_header),
                separator=form.separator,
                quote_char='"',
                schema=schema,
            )
            break
    else:
        return None

    # every line of the file is a row of the frame, and a line that is too short has nothing in the last column
    lines, separators = _counted(encoded, form.separator, also_separators=frame[frame.columns[-1]].null_count() > 0)
    if frame.height != lines - form.has_header or separators not in (None, lines * (len(form.names) - 1)):
        return None
    return [_from_polars(frame[name]) for name in frame.columns]


def _is_odd(content: bytes, separator: str) -> bool:
    """Return whether a text holds what Polars and `csv` read differently: ends of lines, blanks, odd quotes."""
    if b"\r" in content and content.count(b"\r") != content.count(b"\r\n"):
        return True
    # a separator at the very end is a column too many, which Polars passes over
    if content.endswith(separator.encode()) or any(blank in content for blank in _BLANKS):
        return True
    if b'"' not in content:
        return False

    # each quote that opens follows a separator, each that closes comes before one; two in one place are a quote in text
    symbols = np.frombuffer(b"\n" + content + b"\n", np.uint8)
    places = np.flatnonzero(symbols == ord('"'))
    edges = np.zeros(256, bool)
    edges[[ord(one) for one in f'\n"{separator}']] = True
    opens = edges[symbols[places[0::2] - 1]]
    edges[ord("\r")] = True
    return not (opens.all() and edges[symbols[places[1::2] + 1]].all() and len(places) % 2 == 0)


def _counted(content: bytes, separator: str, *, also_separators: bool) -> tuple[int, int | None]:
    """Return how many lines and, if asked for, separators there are outside of quotes."""
    last = not content.endswith(b"\n")
    symbols = np.frombuffer(content, np.uint8)
    if b'"' not in content:
        pieces = (symbols[start : start + _PIECE] for start in range(0, len(symbols), _PIECE))
        lines = sum(int(np.count_nonzero(piece == ord("\n"))) for piece in pieces)
        return lines + last, content.count(separator.encode()) if also_separators else None
    outside = np.cumsum(symbols == ord('"'), dtype=np.uint8) & 1 == 0  # an overflow keeps odd and even apart
    lines, separators = (int(np.count_nonzero((symbols == ord(one)) & outside)) for one in ("\n", separator))
    return lines + last, separators


def _from_polars(series: Any) -> Texts:
    """Return a series as floats, or as texts without spaces around them, ``None`` where one stands for no value."""
    values: Texts
    if series.dtype.is_float():
        values = series.to_numpy()
        return values
    bare = series.str.strip_chars()
    gone = bare.str.to_lowercase().is_in(list(MISSING))
    values = bare.set(gone.fill_null(True), None).to_numpy()
    return values


def _typed(
    path: Path,
    content: Content,
    form: TextFormat,
    columns: list[Texts],
    as_text: Sequence[str],
    notes: tuple[str, ...],
) -> Table:
    """Return the table of what its columns' texts mean."""
    texts = [values for values in columns if values.dtype.kind != "f"]
    decimal_comma = form.separator != "," and has_decimal_comma(texts)

    typed = []
    for name, values in zip(form.names, columns, strict=True):
        if values.dtype.kind == "f":
            typed.append(Column(name, "number", values))
        elif name in as_text:
            typed.append(Column(name, "text", values, "decimal comma" if decimal_comma else ""))
        else:
            try:
                typed.append(to_column(name, values, decimal_comma=decimal_comma))
            except DataError as error:
                raise DataError(f"{path}: {error}") from error

    def place(row: int) -> str:
        return f"line {_line_of(content, form, row):,}"

    # a column without name and values is a separator too many
    used = tuple(column for column in typed if not (column.name in form.unnamed and column.missing.all()))
    return Table(str(path), used, form.has_header, place, notes)


def _line_of(content: Content, form: TextFormat, row: int) -> int:
    """Return the line of the file on which a row begins."""
    reader = csv.reader(content.lines(), delimiter=form.separator)
    started, seen = 0, -int(form.has_header)
    for record in reader:
        if not is_blank(record):
            if seen == row:
                return started + 1
            seen += 1
        started = reader.line_num
    return started


def _is_code(text: str) -> bool:
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits.isdigit()


def typed_target(column: Column) -> Column:
    """Return a target that was read as text as what all of its values are; codes such as ``01`` stay texts."""
    known = [text for text in column.values if text is not None] if column.kind == "text" else []
    if not known or any(map(_is_code, known)):
        return column
    read = to_column(column.name, column.values, decimal_comma=bool(column.read_as))
    if read.kind != "number":
        return column
    whole = all(text.lstrip("+-").isdigit() and len(text) < 18 for text in known)
    return replace(read, whole=whole)
