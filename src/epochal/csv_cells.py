"""The one place where values become cells of a CSV file, which people open with a spreadsheet.

A text that begins with ``=``, ``+``, ``-`` or ``@`` is a formula there, and may run a program. An apostrophe before it
makes it a text. Numbers stay numbers, and a sign alone, as for the classes + and -, is no formula.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any, Final

from epochal.words.plain_text import one_line

_FORMULA: Final = re.compile(r"[=+\-@\t＝＋－＠].", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-](\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-](inf|infinity|nan)", re.IGNORECASE | re.ASCII)


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Return rows as lines of CSV.

    >>> csv_text([("name", "loss"), ("=1+1", -0.5)])
    "name,loss\n'=1+1,-0.5\n"
    """
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([as_cell(value) for value in row] for row in rows)
    return text.getvalue()


def as_cell(value: Any) -> Any:
    """Return a value as it stands in a cell: a text in one line, which is no formula.

    >>> as_cell("@home"), as_cell("-1.5e3"), as_cell("-"), as_cell(-1)
    ("'@home", '-1.5e3', '-', -1)
    """
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
