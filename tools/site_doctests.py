"""An extension of Markdown for docstrings: lines that begin with ``>>>`` are a block of Python with its output."""

from __future__ import annotations

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

_BEFORE_FENCES = 29  # after line ends are made alike (30), before fenced blocks are taken out (25)


class _Fences(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        """Return the lines with a fence around each doctest, which ends at a blank line."""
        done: list[str] = []
        inside = False
        for line in lines:
            if not inside and line.startswith(">>> "):
                done += ["", "```pycon"]
                inside = True
            elif inside and not line.strip():
                done.append("```")
                inside = False
            done.append(line)
        return [*done, "```"] if inside else done


class DoctestExtension(Extension):
    """Registers the preprocessor."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Add the preprocessor to a converter."""
        md.preprocessors.register(_Fences(md), "doctests", _BEFORE_FENCES)
