"""Pieces of HTML for a place that is not ours, such as a notebook's cell: one language, own style, no script.

Text takes the colour of the place that it stands in, and lines are that colour, thinned: so it reads on light and on
dark backgrounds alike, whatever the notebook calls its themes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias

from markupsafe import Markup, escape

from epochal.web.one_file import shown
from epochal.words.catalogue import Words, say
from epochal.words.language import LANGUAGES, present_language

Text: TypeAlias = Words | str
"""What is to be read: in every language, or the same in all. A `Markup` is taken as it is."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """Writes pieces of HTML in one language.

    >>> Fragment("zh").text(say("status.finished")), Fragment("en").text("a < b")
    (Markup('已完成'), Markup('a &lt; b'))
    """

    lang: str = LANGUAGES[0]

    @classmethod
    def here(cls) -> Fragment:
        """Return one in the present language (`epochal.words.language`)."""
        return cls(present_language())

    def text(self, text: Text) -> Markup:
        """Return a text in this language, escaped."""
        return escape(shown(text.texts[self.lang] if isinstance(text, Words) else text))

    def say(self, key: str, **values: object) -> Markup:
        """Return a sentence, escaped, with its gaps filled."""
        return self.text(say(key, **values))

    def whole(self, *parts: Markup) -> str:
        """Return the pieces in an element of their own, with its style."""
        inside = Markup("\n").join(part for part in parts if part)
        whole = Markup('<div class="epochal" lang="{}"><style>{}</style>\n{}\n</div>')
        return str(whole.format(self.lang, Markup(_style()), inside))  # plain: marimo takes no kind of text but str

    def head(self, title: Text, *rest: Text) -> Markup:
        """Return a first line: what it is, and a few words more."""
        words = (Markup(" · {}").format(self.text(one)) for one in rest)
        return Markup('<p class="head"><b>{}</b>{}</p>').format(self.text(title), Markup("").join(words))

    def line(self, text: Text, kind: str = "") -> Markup:
        """Return a paragraph; ``kind`` may be soft."""
        return Markup('<p class="{}">{}</p>').format(kind, self.text(text)) if text else Markup("")

    def keys(self, rows: Iterable[tuple[Text, Text]]) -> Markup:
        """Return a few important numbers, each with what it is."""
        cells = (
            Markup("<div><small>{}</small><b>{}</b></div>").format(self.text(name), self.text(value))
            for name, value in rows
        )
        return Markup('<div class="keys">{}</div>').format(Markup("").join(cells))

    def table(
        self, headings: Sequence[Text], rows: Iterable[Sequence[Text] | Text], texts: Sequence[int] = ()
    ) -> Markup:
        """Return a table; a row that is one text stands across all columns.

        Args:
            headings: one for each column.
            rows: of as many cells; the first names its row.
            texts: the columns, from 0, that hold sentences and not numbers.
        """
        kinds = ["text" if place in texts else "" for place in range(len(headings))]
        head = (
            Markup('<th scope="col" class="{}">{}</th>').format(kind, self.text(heading))
            for kind, heading in zip(kinds, headings, strict=True)
        )
        body = (self._row(row, kinds) for row in rows)
        return Markup(
            '<div class="scroll"><table class="epochal-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
        ).format(Markup("").join(head), Markup("").join(body))

    def _row(self, row: Sequence[Text] | Text, kinds: Sequence[str]) -> Markup:
        if isinstance(row, (str, Words)):
            return Markup('<tr><td class="wide" colspan="{}">{}</td></tr>').format(len(kinds), self.text(row))
        first, *rest = row
        cells = (
            Markup('<td class="{}">{}</td>').format(kind, self.text(cell))
            for kind, cell in zip(kinds[1:], rest, strict=True)
        )
        return Markup('<tr><th scope="row">{}</th>{}</tr>').format(self.text(first), Markup("").join(cells))

    def folded(self, title: Text, *parts: Markup, is_open: bool = False) -> Markup:
        """Return pieces that are shown when their title is clicked."""
        return Markup("<details{}><summary>{}</summary>{}</details>").format(
            Markup(" open") if is_open else "", self.text(title), Markup("").join(parts)
        )

    def charts(self, *charts: Markup) -> Markup:
        """Return charts side by side, where there is room."""
        return Markup('<div class="charts">{}</div>').format(Markup("").join(charts)) if any(charts) else Markup("")


@cache
def _style() -> str:
    return resources.files("epochal.web").joinpath("assets/fragment.css").read_text(encoding="utf-8")
