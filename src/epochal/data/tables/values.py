"""What the texts of a column mean: numbers, truth values, dates, or words, and which of them say that there is none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
from jaxtyping import Float64, Shaped

from epochal.data.tables.table import CATEGORY, Column
from epochal.errors import DataError

MISSING = frozenset({"", "na", "n/a", "#n/a", "#na", "nan", "null", "<na>", "?", "nat"})
"""What stands for no value in any column, in any case."""

NO_NUMBER = frozenset({"none", "nil", "-", "--", "."})
"""What does among numbers besides; among words it is one of them."""

COMMAS_WITHIN = 2000
"""Rows that say whether a table has decimal commas."""

_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_GROUPED_COMMA = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_MONEY = re.compile(r"[$€£¥￥]|[%％]$|\s")
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", "T%H:%M:%SZ", "T%H:%M:%S%z")
_DATES = {
    "%Y-%m-%d": "year-month-day",
    "%Y/%m/%d": "year/month/day",
    "%Y.%m.%d": "year.month.day",
    "%d.%m.%Y": "day.month.year",
    "%d/%m/%Y": "day/month/year",
    "%m/%d/%Y": "month/day/year",
    "%d-%m-%Y": "day-month-year",
    "%m-%d-%Y": "month-day-year",
    "%Y年%m月%d日": "年月日",
}
_LOOKS_LIKE_DATE = re.compile(r"[0-9]{1,4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,4}日?([T ].*)?")
_TRIED = 100
"""Texts that are read before a copy of all of them is made."""
_MOSTLY = 0.5  # a column with more numbers than that and a few words is a mistake, not a category


def is_missing(text: str) -> bool:
    """Return whether a text stands for no value."""
    return text.strip().lower() in MISSING


def is_number(text: str) -> bool:
    """Return whether a text is a number as Python writes it; ``1_000`` is none."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def to_numbers(texts: Shaped[np.ndarray, " n"]) -> Float64[np.ndarray, " n"] | None:
    """Return texts as numbers, NaN where one is ``None``; ``None`` where one of them is no number."""
    filled = np.where([text is None for text in texts], "nan", texts)
    try:
        return filled.astype(np.float64)
    except ValueError:
        return None


def without_missing(texts: Sequence[str] | Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Return texts as an array of objects without spaces around them; those that stand for no value are ``None``."""
    bare = (None if text is None else text.strip() for text in texts)
    plain = [None if text is None or text.lower() in MISSING else text for text in bare]
    result = np.empty(len(plain), object)
    result[:] = plain
    return result


def to_column(name: str, texts: Shaped[np.ndarray, " n"], *, decimal_comma: bool = False) -> Column:
    """Return a column of what all of its texts are; ``None`` is a missing one.

    Args:
        name: the column's.
        texts: ``(n,)`` texts or ``None``.
        decimal_comma: whether the file writes 3,5 for 3.5, and 1.000 for 1000.
    """
    known = [text for text in texts if text is not None]
    if not known:
        return Column(name, "number", np.full(len(texts), np.nan))

    if len(words := [text for text in known if text.lower() not in NO_NUMBER]) < len(known) and words:
        without = np.array([None if text is None or text.lower() in NO_NUMBER else text for text in texts], object)
        column = to_column(name, without, decimal_comma=decimal_comma)
        return column if column.kind != "text" else Column(name, "text", texts)

    if not decimal_comma and (numbers := to_numbers(texts)) is not None and not any("_" in text for text in known):
        return Column(name, "number", numbers)
    if (read := _read_written_numbers(texts, known, decimal_comma)) is not None:
        return Column(name, "number", read[0], read[1])
    if all(text.lower() in _TRUTH for text in known):
        truths = [np.nan if text is None else _TRUTH[text.lower()] for text in texts]
        return Column(name, "boolean", np.array(truths, np.float64))

    if (dates := _to_dates(name, texts, known)) is not None:
        return dates
    return Column(name, "text", texts)


def has_decimal_comma(columns: Sequence[Shaped[np.ndarray, " n"]]) -> bool:
    """Return whether some column of texts holds numbers such as 3,5 and nothing that is neither number nor missing."""
    for texts in columns:
        known = [text for text in texts[:COMMAS_WITHIN] if text is not None]
        if any("," in text for text in known) and all(_COMMA.fullmatch(text) or is_number(text) or
                                                      _GROUPED_COMMA.fullmatch(text) for text in known):  # fmt: skip
            return True
    return False


def _read_written_numbers(
    texts: Shaped[np.ndarray, " n"], known: list[str], decimal_comma: bool
) -> tuple[Float64[np.ndarray, " n"], str] | None:
    """Return numbers with separators of thousands, decimal commas, or signs of currency, and how they were read."""
    first = _MONEY.sub("", known[0])
    if not first or first[-1] not in "0123456789.,)" or "_" in first:
        return None

    def plain(text: str | None) -> str | None:
        if text is None:
            return None
        if decimal_comma:
            grouped = _GROUPED_COMMA.fullmatch(text) is not None
            return (text.replace(".", "") if grouped or "," in text else text).replace(",", ".")
        return text.replace(",", "") if _GROUPED.fullmatch(text) else text

    def plain_texts(written: Iterable[str | None]) -> Shaped[np.ndarray, " n"]:
        return np.array([plain(None if text is None else _MONEY.sub("", text)) for text in written], object)

    if to_numbers(plain_texts(known[:_TRIED])) is None:  # before a copy of all texts
        return None
    numbers = to_numbers(plain_texts(texts))
    if numbers is None or any("_" in text for text in known):
        return None

    ways = {
        "decimal comma": decimal_comma,
        "thousands separated": not decimal_comma and any("," in _MONEY.sub("", text) for text in known),
        "signs left out": any(_MONEY.search(text) for text in known),
    }
    return numbers, ", ".join(way for way, holds in ways.items() if holds)


def _to_dates(name: str, texts: Shaped[np.ndarray, " n"], known: list[str]) -> Column | None:
    """Return a column of dates, where all texts are; the order of day and month is the one that fits all of them.

    Raises `DataError` where both orders do.
    """
    if not all(_LOOKS_LIKE_DATE.fullmatch(text) for text in known):
        return None
    distinct = dict.fromkeys(known)
    fitting: list[tuple[str, dict[str, datetime]]] = []
    for form, words in _DATES.items():
        for time in _TIMES:
            read = _parse_all(distinct, form + time)
            if read is not None:
                fitting.append((words, read))
                break

    if not fitting:
        return None
    if len(fitting) > 1 and any(one != other for one, other in zip(fitting[0][1].values(), fitting[1][1].values(),
                                                                  strict=True)):  # fmt: skip
        raise DataError(
            f"column '{name}': dates such as {known[0]} can be {fitting[0][0]} or {fitting[1][0]}; write them as "
            "2024-12-31, or leave the column out (--drop)"
        )
    words, read = fitting[0]
    values = np.array(["NaT" if text is None else read[text].strftime("%Y-%m-%dT%H:%M:%S") for text in texts])
    return Column(name, "date", values.astype("datetime64[s]"), "" if words == "year-month-day" else words)


def _parse_all(texts: dict[str, None], form: str) -> dict[str, datetime] | None:
    try:
        return {text: datetime.strptime(text, form) for text in texts}
    except ValueError:
        return None


def odd_one(texts: Shaped[np.ndarray, " n"]) -> tuple[int, str] | None:
    """Return the row and text of the first word in a column of numbers; ``None`` where words are what it holds."""
    odd = odd_texts(Counter(text for text in texts if text is not None))
    return next(((row, text) for row, text in enumerate(texts) if text in odd), None)


def odd_texts(counts: Mapping[str, int]) -> set[str]:
    """Return the words in a column of numbers, of which ``counts`` says how often each text is in it.

    There are none where words are what it holds.
    """
    words = {text for text in counts if not is_number(text)}
    if sum(counts[text] for text in words) >= (1 - _MOSTLY) * sum(counts.values()):
        return set()
    return words


def as_meant(column: Column) -> Column:
    """Return a column of texts, as a frame may hold dates or numbers, as what all of its texts mean."""
    if column.kind != "text" or column.read_as == CATEGORY:
        return column
    return to_column(column.name, without_missing(column.values))


def as_text(column: Column) -> Column:
    """Return a column of any kind as texts."""
    if column.kind == "text":
        return column
    texts = np.empty(len(column.values), object)
    words = {0.0: "false", 1.0: "true"} if column.kind == "boolean" else {}
    texts[:] = [
        None if gone else words.get(value, f"{value:.15g}" if column.kind == "number" else str(value))
        for value, gone in zip(column.values.tolist(), column.missing, strict=True)
    ]
    return Column(column.name, "text", texts)
