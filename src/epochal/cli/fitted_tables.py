"""Tables that fit any width: too wide ones are continued below with their first column; narrow screens get lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from epochal.cli.text_lines import print_whole, print_wrapped
from epochal.words.catalogue import tell
from epochal.words.layout import cells, wrap
from epochal.words.plain_text import one_line

Side: TypeAlias = Literal["left", "right"]
Widths: TypeAlias = dict[int, int]
"""The columns of a table by their numbers, and how wide each is."""

_LEAST_TEXT, _LONGEST_WORD = 8, 12
"""Cells that text is folded to where there is no room, but words of so many remain whole."""
_GAP: Final = 2
"""Cells between two columns, where no more are wanted; one where there is no room for them."""
_MOST_TABLES: Final = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column: numbers, or text.

    Attributes:
        folds: whether its values may be folded into several lines where there is no room for them in one.
    """

    heading: str
    is_text: bool = False
    folds: bool = False

    def widest(self, values: Sequence[str]) -> int:
        """Return the cells that it takes with its heading's words and all of its values whole."""
        return max([1, *map(cells, self.heading.split(" ")), *map(cells, values)])

    def narrowest(self, values: Sequence[str]) -> int:
        """Return the fewest that it can do with: Chinese words of its heading are halved, and values are folded."""
        longest = max([1, *map(cells, values)])
        if self.folds:
            words = (cells(word) for value in values for word in value.split(" "))
            longest = min(longest, max([_LEAST_TEXT, *(word for word in words if word <= _LONGEST_WORD)]))
        return max([longest, *(_halved(word) for word in self.heading.split(" "))])


def print_table(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str = "", *, gap: int = _GAP
) -> None:
    """Print rows of text, taken as it is, under their headings, with nothing lost at any width.

    Where they are too wide for the screen, columns are narrowed, then shared out among tables with the same first
    column; where these would be many, each row is a list.
    """
    if not rows:
        return
    rows = [[one_line(value) for value in row] for row in rows]
    values = [[row[place] for row in rows] for place in range(len(columns))]
    layout = _layout(columns, values, console.width, gap)
    if not layout.tables or len(layout.tables) > _MOST_TABLES:
        _print_lists(console, columns, rows, title)
        return
    for number, widths in enumerate(layout.tables):
        table = _table(widths, layout.gap, columns, values, title if number == 0 else "")
        console.print(Segments(_without_blank_ends(console, table)), end="")


@dataclass(frozen=True, slots=True)
class _Layout:
    """The tables that columns are shown in, and the cells between two columns."""

    tables: Sequence[Widths]
    gap: int = _GAP

    @property
    def width(self) -> int:
        """The cells of the widest table, its edges included."""
        totals = (sum(widths.values()) + self.gap * (len(widths) - 1) + 2 for widths in self.tables)
        return max(totals, default=0)


def _layout(columns: Sequence[Column], values: Sequence[Sequence[str]], width: int, wanted: int) -> _Layout:
    """Return the first layout that fits: one table if possible, or else several; none of them where a column cannot."""
    whole = {place: column.widest(values[place]) for place, column in enumerate(columns)}
    least = {place: column.narrowest(values[place]) for place, column in enumerate(columns)}
    for widths, gap in itertools.product((whole, least), (wanted, _GAP, 1)):
        layout = _Layout([widths], gap)
        if layout.width <= width:
            return _Layout([_widened(widths, whole, width - layout.width)], gap)

    for count in range(2, len(columns)):
        layout = _Layout(_shared(least, count))
        if layout.width <= width:
            rooms = (width - _Layout([widths]).width for widths in layout.tables)
            return _Layout([_widened(widths, whole, room) for widths, room in zip(layout.tables, rooms, strict=True)])
    return _Layout([])


def _shared(widths: Widths, count: int) -> list[Widths]:
    """Share the columns behind the first one out among so many tables, about as many to each."""
    rest = list(widths)[1:]
    each = -(-len(rest) // count)
    return [{place: widths[place] for place in [0, *rest[i : i + each]]} for i in range(0, len(rest), each)]


def _widened(widths: Widths, whole: Widths, room: int) -> Widths:
    """Return the widths with the room that is left, from the first column on."""
    wider = {}
    for place, width in widths.items():
        wider[place] = min(width + room, whole[place])
        room -= wider[place] - width
    return wider


def _table(widths: Widths, gap: int, columns: Sequence[Column], values: Sequence[Sequence[str]], title: str) -> Table:
    # a divider takes one of the cells between two columns
    table = Table(
        box=SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False,
        padding=(0, gap - 1, 0, 0),
    )  # fmt: skip
    for place, width in widths.items():
        side: Side = "left" if columns[place].is_text else "right"
        table.add_column(Text(_heading(columns[place].heading, width)), justify=side, overflow="fold", width=width)
    for row in zip(*(_folded(columns[place], values[place], width) for place, width in widths.items()), strict=True):
        table.add_row(*map(Text, row))
    return table


def _without_blank_ends(console: Console, table: Table) -> Iterator[Segment]:
    """Yield a table's lines without the blanks at their ends, which a file would keep and a narrowed terminal break."""
    for line in console.render_lines(table, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        yield from line[:-1]
        yield from (last._replace(text=last.text.rstrip()) for last in line[-1:])
        yield Segment.line()


def _folded(column: Column, values: Sequence[str], width: int) -> list[str]:
    return ["\n".join(wrap(value, width)) if column.folds else value for value in values]


def _heading(text: str, width: int) -> str:
    """Return a heading in as few lines as the width allows, each about as long as the others."""
    lines = wrap(text, width)
    longest = max([1, *map(cells, text.split(" "))])
    narrower = (wrap(text, one) for one in range(min(_halved(text), longest), width))
    evenly = next((some for some in narrower if len(some) == len(lines)), lines)
    return _plain("\n".join(evenly))


def _plain(text: str) -> str:
    """Return a text whose no-break spaces have served."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _halved(word: str) -> int:
    """Return the cells of the longer half of a word that may be broken: a Chinese one, of two cells a character."""
    is_wide = cells(word) == 2 * len(word)
    return 2 * -(-len(word) // 2) if is_wide else cells(word)


def _print_lists(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print each row as lines of heading and value, under its first value."""
    if title:
        print_wrapped(console, title)
    for first, *rest in rows:
        if columns[0].folds:
            print_wrapped(console, first or "–")
        else:
            print_whole(console, first or "–")
        for column, value in zip(columns[1:], rest, strict=True):
            line = tell("cells.pair", heading=_plain(column.heading), value=value) if column.heading else value
            if value and column.is_text:
                print_wrapped(console, line, indent="  ")
            elif value:
                print_whole(console, f"  {line}")
    console.print()
