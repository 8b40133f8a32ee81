"""The console that everything rich is printed on: it takes text as text, and no name acts on the terminal.

Not imported but by those who print: rich takes its time.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from epochal.words.plain_text import plain_text


class PlainConsole(Console):
    """A console on which square brackets are no markup, ``:name:`` is no emoji, and control characters are pictures.

    The colours and movements that rich itself writes go their own way, beside the text.
    """

    def __init__(self, *, width: int | None = None, quiet: bool = False) -> None:
        super().__init__(width=width, quiet=quiet, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which knows the exit status; rich would exit with 1."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return what is written, piece by piece: all that is printed comes through here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain_text(segment.text))
