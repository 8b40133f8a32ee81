"""What all commands print with: one look for tables, numbers and JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 80


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `main`, which knows the exit status; rich would exit with 1."""
        raise BrokenPipeError


def open_console(*, quiet: bool = False) -> Console:
    """Return the console for results: 80 columns where the output is no terminal and COLUMNS says nothing else.

    Text is printed as it is: square brackets in a name are no markup.
    """
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH_WITHOUT_TERMINAL
    return _Console(width=width, highlight=False, markup=False, quiet=quiet)


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print sentences that the user should know, one a line."""
    for note in notes:
        console.print(f"note: {note}", soft_wrap=not console.is_terminal)


def print_json(value: Any) -> None:
    """Print plain JSON; numbers that are not finite become null, which JSON has instead."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def build_table(*columns: tuple[str, str], title: str | None = None) -> Table:
    """Return an empty table with columns of (heading, ``"left"`` or ``"right"``)."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for heading, side in columns:
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    return table


def keep_words_whole(table: Table, rows: Sequence[Sequence[str]], width: int) -> None:
    """Make columns as wide as their cells and the longest words of their headings, if the screen has room for that."""
    headings = [max(map(len, str(column.header).split()), default=0) for column in table.columns]
    widest = [max(map(len, cells)) for cells in zip(*rows, strict=True)] or headings
    wanted = [max(pair) for pair in zip(headings, widest, strict=True)]
    if sum(wanted) + 3 * len(wanted) > width:
        table.padding = (0, 1, 0, 0)
    if sum(wanted) + 2 * len(wanted) <= width:
        for column, size in zip(table.columns, wanted, strict=True):
            column.width = size


def add_rows(table: Table, rows: Iterable[Iterable[str]]) -> Table:
    """Add rows of text, taken as it is, and return the table."""
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
