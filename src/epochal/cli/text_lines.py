"""How results are printed line by line: sentences broken where their language allows it, what is to be copied whole."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from epochal.words.layout import NARROWEST, cells, wrap
from epochal.words.plain_text import plain_text

_LEAST_ROOM = 12  # cells beside a label


def print_text(console: Console, text: str, indent: str = "") -> None:
    """Print a sentence: in a terminal in lines that fit, elsewhere in one."""
    lines = wrap(text, console.width - cells(indent)) if console.is_terminal else [text]
    for line in lines:
        print_whole(console, indent + line)


def print_wrapped(console: Console, text: str, indent: str = "") -> None:
    """Print a sentence beside a table: in a file, too, in lines that are as wide as it may be."""
    for line in wrap(text, max(NARROWEST, console.width) - cells(indent)):
        print_whole(console, indent + line)


def print_whole(console: Console, text: str) -> None:
    """Print a line that is to be copied, such as a command or a path: it is never broken."""
    console.print(Text(plain_text(text)), soft_wrap=True)


def print_labelled(console: Console, label: str, text: str) -> None:
    """Print a text behind its label; in a terminal, in lines that begin one below the other."""
    room = console.width - cells(label) - 2
    lines = wrap(text, room) if console.is_terminal and room >= _LEAST_ROOM else [text]
    for number, line in enumerate(lines):
        print_whole(console, f"{label if number == 0 else ' ' * cells(label)}  {line}")
