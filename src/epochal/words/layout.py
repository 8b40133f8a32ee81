"""How text stands on a screen: how wide that is, and lines that are broken where the language allows it.

A Chinese character is two cells wide. A line may end between any two of them, but no line begins with a comma.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from typing import Final
from unicodedata import combining, east_asian_width

NARROWEST: Final = 20
"""A screen that says it is narrower, as some say 0, is written to as if it had so many columns."""

_OPENING, _CLOSING = "（《“‘「『【", "，。、；：！？）》”’」』】…"
_CJK = "\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff60"
_BLANK = re.compile(r"[ \t\r\n]+")  # not a no-break space
_PIECE = re.compile(
    rf" +|[{_OPENING}]*(?:(?![{_OPENING}{_CLOSING}])[{_CJK}]|[^ {_CJK}{_OPENING}]+)[{_CLOSING}]*|.", re.DOTALL
)


def screen_width(otherwise: int = 80) -> int:
    """Return the columns of the screen: what ``COLUMNS`` says, else the terminal's, else ``otherwise``."""
    return max(NARROWEST, shutil.get_terminal_size((otherwise, 24)).columns)


def said_width() -> int | None:
    """Return the columns that ``COLUMNS`` demands, or ``None`` where it demands none: 0 is no width."""
    said = os.environ.get("COLUMNS", "")
    return max(NARROWEST, int(said)) if said.isdecimal() and int(said) else None


def cells(text: str) -> int:
    """Return how many columns a text takes.

    >>> cells("epoch"), cells("轮")
    (5, 2)
    """
    if text.isascii():
        return len(text)
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def padded(text: str, columns: int) -> str:
    """Return a text with so many spaces behind it that it takes ``columns``.

    >>> padded("轮", 4) + "|"
    '轮  |'
    """
    return text + " " * max(0, columns - cells(text))


def wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break a text into lines of at most ``width`` cells, all but the first of them indented.

    >>> wrap("each batch makes one iteration", 12)
    ['each batch', 'makes one', 'iteration']
    >>> wrap("每一批都是一次迭代，也是一次更新。", 12)
    ['每一批都是一', '次迭代，也是', '一次更新。']
    """
    lines, line = [], ""
    for piece in _pieces(text, width - cells(indent)):
        if line.strip() and cells(line) + cells(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = indent + piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()]


def _pieces(text: str, longest: int) -> Iterator[str]:
    """Yield words, Chinese characters with their punctuation, and spaces; what is too long for a line in parts."""
    for piece in _PIECE.findall(_BLANK.sub(" ", text).strip()):
        part = ""
        for letter in piece:
            if part and cells(part + letter) > longest:
                yield part
                part = ""
            part += letter
        yield part
