"""Tables in text as Python's own `csv` module reads them: any quotes, any ends of lines, and which line is wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from epochal.data.tables.growing_columns import GrowingColumn, in_blocks
from epochal.data.tables.text_content import Content
from epochal.data.tables.text_format import MOST_LETTERS, TextFormat, is_blank
from epochal.data.tables.values import COMMAS_WITHIN, has_decimal_comma, without_missing
from epochal.errors import DataError

Texts = Shaped[np.ndarray, " n"]


def read_exactly(
    content: Content, path: Path, form: TextFormat, before: int = 0, as_text: Sequence[str] | None = None
) -> list[Texts]:
    """Return the columns as the `csv` module reads them. Raises `DataError` with the line of what is wrong.

    Args:
        content: the file's text, or a part of it that holds whole rows.
        path: the file's.
        form: how it is written.
        before: lines of the file that stand before the content.
        as_text: columns that are kept as texts; others are floats where `to_column` would say so. Default: all.
    """
    csv.field_size_limit(MOST_LETTERS)
    all_texts = as_text is None or _may_have_decimal_comma(content, form)
    columns = [GrowingColumn(all_texts or name in (as_text or ())) for name in form.names]
    for block in in_blocks(_exact_rows(content, path, form, before), len(columns)):
        for column, cells in zip(columns, block, strict=True):
            column.add(cells)
    for column in columns:
        column.end()

    # numbers first and texts later: those few columns are read again
    if lost := [at for at, column in enumerate(columns) if column.is_lost]:
        for at in lost:
            columns[at] = GrowingColumn(is_text=True)
        for block in in_blocks(_exact_rows(content, path, form, before), len(columns)):
            for at in lost:
                columns[at].add(block[at])
    return [column.values() for column in columns]


def _may_have_decimal_comma(content: Content, form: TextFormat) -> bool:
    """Return whether `has_decimal_comma` holds of a table: then 1.000 is a thousand, and texts are read later."""
    if form.separator == "," or b"," not in content.encoded:
        return False
    rows: list[list[str]] = []
    with suppress(csv.Error):  # which the reading of all rows says
        for row in csv.reader(content.lines(), delimiter=form.separator, strict=True):
            if not is_blank(row):
                rows.append(row)
            if len(rows) > COMMAS_WITHIN:
                break
    return has_decimal_comma([without_missing(column) for column in zip(*rows[form.has_header :], strict=False)])


def _exact_rows(content: Content, path: Path, form: TextFormat, before: int) -> Iterator[list[str]]:
    """Yield the rows below the names. Raises `DataError` as `read_exactly` does."""
    wanted, started, seen = len(form.names), 0, 0
    reader = csv.reader(content.lines(), delimiter=form.separator, strict=True)
    try:
        for row in reader:
            if not is_blank(row):
                if len(row) != wanted:
                    first, last = before + started + 1, before + reader.line_num
                    raise DataError(f"{path}: {_about_length(row, first, last, wanted, form)}")
                seen += 1
                if seen > form.has_header:
                    yield row
            started = reader.line_num
    except csv.Error as error:
        what = "a quote that is never closed" if "end of data" in str(error) else str(error)
        line = before + started + 1
        raise DataError(f"{path}: line {line}: {what}; close it, or write a quote within text twice") from error


def _about_length(row: list[str], first: int, last: int, wanted: int, form: TextFormat) -> str:
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    than = f"the header {wanted}" if form.has_header else f"the first line {wanted}"
    open_quote = "; is a quote not closed?" if last > first + 1 else ""
    return f"{where} has {len(row)} columns, {than}{open_quote}"
