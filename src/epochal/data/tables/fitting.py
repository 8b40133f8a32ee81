"""How a table is encoded, as its training rows say: what becomes of each column, and which are left out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int, Int32, Shaped

from epochal.data.splitting import blocks
from epochal.data.tables.column_encoders import (
    MOST_CATEGORIES,
    Date,
    Encoder,
    Hashed,
    Number,
    OneHot,
    Truth,
)
from epochal.data.tables.encoding import TableEncoding
from epochal.data.tables.table import Column, Table
from epochal.data.tables.values import as_meant, as_text, odd_texts
from epochal.errors import DataError

Rows: TypeAlias = Int[np.ndarray, " rows"] | slice

_NAMES = 10  # a column of more different texts, one in almost every row, names the rows


class Texts(NamedTuple):
    """A column of texts: the different ones, and of each row the number of its text, -1 for a missing one."""

    name: str
    different: tuple[str, ...]
    numbers: Int32[np.ndarray, " n"]

    @classmethod
    def of(cls, name: str, values: Shaped[np.ndarray, " n"]) -> Texts:
        """Return a column of texts and ``None``."""
        different: dict[str, int] = {}
        each = (-1 if text is None else different.setdefault(text, len(different)) for text in values)
        numbers = np.fromiter(each, np.int32, len(values))
        return cls(name, tuple(different), numbers)

    def counts(self, numbers: Int32[np.ndarray, " some"]) -> Int[np.ndarray, " different"]:
        """Return how often each text is among some rows."""
        return np.bincount(numbers[numbers >= 0], minlength=len(self.different))


def fit_encoding(
    table: Table, rows: Rows, *, targets: Sequence[str], categorical: Sequence[str] = (), dropped: Sequence[str] = ()
) -> TableEncoding:
    """Return how to encode a table, as its training rows say.

    Args:
        table: the whole of it, targets included.
        rows: the training rows.
        targets: columns that are no features.
        categorical: columns whose values are categories, even if they are numbers.
        dropped: columns that are left out because the user says so.

    Raises:
        DataError: for a column that is neither one thing nor another, with the row, and where no feature is left.
    """
    encoders: list[Encoder] = []
    left_out = dict.fromkeys(dropped, "as asked")
    for column in table.columns:
        if column.name in targets or column.name in dropped:
            continue
        fitted = fit_column(column, rows, asked=column.name in categorical, table=table)
        if isinstance(fitted, str):
            left_out[column.name] = fitted
        else:
            encoders.append(fitted)
    return encoding_of(encoders, left_out, table.name, targets, has_header=table.has_header)


def encoding_of(
    encoders: Sequence[Encoder], left_out: Mapping[str, str], table: str, targets: Sequence[str], *, has_header: bool
) -> TableEncoding:
    """Return the encoding of a table from what `fit_column` says of its features, and of those that are left out.

    Raises `DataError` where no feature is left, with the ``table``'s name.
    """
    if not encoders:
        why = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise DataError(f"{table}: no feature is left ({why or 'there is the target alone'})")
    return TableEncoding(tuple(encoders), left_out, tuple(targets), has_header)


def fit_column(column: Column, rows: Rows, *, asked: bool, table: Table) -> Encoder | str:
    """Return how to encode a column, as its training rows say, or why it is left out.

    ``asked``: its values are categories because the user says so. Raises `DataError` as `fit_encoding` does.
    """
    column = as_text(column) if asked else as_meant(column)
    if column.kind == "text":
        return fit_texts(Texts.of(column.name, column.values), rows, asked=asked, table=table)
    if column.missing[rows].all():
        return "no value in any training row"
    if column.kind == "number" and _is_index(column):
        return "it numbers the rows, as pandas' index does"
    return _fit(column, rows)


def fit_texts(column: Texts, rows: Rows, *, asked: bool, table: Table) -> Encoder | str:
    """Return for a column of texts what `fit_column` does."""
    used = column.numbers[rows]
    counts = column.counts(used)
    total, distinct = int(counts.sum()), int(np.count_nonzero(counts))
    is_missing = total < len(used)
    if not total:
        return "no value in any training row"

    if not asked:
        _refuse_odd_texts(column, table)
        if distinct > _NAMES and distinct > 0.9 * total:
            return f"almost every row has another text ({distinct:,} in {total:,})"
        if distinct == 1 and not is_missing:
            return "the same text in every row"
    if distinct > MOST_CATEGORIES and not (asked and distinct <= 20 * MOST_CATEGORIES):
        return Hashed(column.name, is_missing)
    categories = sorted(column.different[number] for number in np.flatnonzero(counts).tolist())
    return OneHot(column.name, is_missing, tuple(categories))


def _refuse_odd_texts(column: Texts, table: Table) -> None:
    """Raise `DataError` for a word in a column of numbers."""
    odd = odd_texts(dict(zip(column.different, column.counts(column.numbers).tolist(), strict=True)))
    if odd:
        row = int(np.argmax(np.isin(column.numbers, [column.different.index(text) for text in odd])))
        raise DataError(
            f"{table.name}: {table.place(row)}, column '{column.name}': "
            f"'{column.different[column.numbers[row]]:.40}' is no number, as others are; fix "
            f"it, take the values as categories (--categorical '{column.name}'), or leave the column out (--drop)"
        )


def _is_index(column: Column) -> bool:
    name = column.name.strip().lower()
    has_no_name = name.startswith("unnamed:") or name in ("column 1", "index", "__index_level_0__", "level_0")
    values = column.values
    return has_no_name and len(values) > 2 and bool((np.diff(values) == 1).all() and values[0] in (0, 1))


def _fit(column: Column, rows: Rows) -> Encoder:
    """Return the encoder of a column of numbers, truth values or dates, as its training rows say."""
    name, known, gone = column.name, column.values[rows], column.missing[rows]
    missing = bool(gone.any())
    if missing:  # a column may be as large as the memory: no copy that says the same
        known = known[~gone]

    if column.kind == "number":
        usual = np.isfinite(known)
        finite = known if usual.all() else known[usual]
        mean = float(finite.mean()) if len(finite) else 0.0
        mean = mean if math.isfinite(mean) else 0.0
        return Number(name, missing, mean, _offset(finite, mean))
    if column.kind == "boolean":
        return Truth(name, missing, float(known.mean() > 0.5))

    has_time = bool((known != known.astype("datetime64[D]")).any())
    plain = Date(name, missing, str(known.max()), has_time)
    means = plain.encode(Column(name, "date", known), str).mean(axis=0)
    return dataclasses.replace(plain, fill=tuple(map(float, means)))


def _offset(values: Shaped[np.ndarray, " n"], mean: float) -> float:
    """Return what to subtract so that 32-bit floats tell the values apart: 0 where they do as it is."""
    if not len(values) or values.min() == values.max():
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        lost = max(np.abs(some - some.astype(np.float32)).max() for _, some in blocks(values))
        deviation = float(values.std())
    return float(round(mean)) if lost > deviation / 1000 and math.isfinite(mean) else 0.0
