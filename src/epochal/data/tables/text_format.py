"""How a table in text is written: what separates its values, and what its columns are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_LETTERS = 2**31 - 1
"""Of a value: what a C long holds everywhere."""


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How a table is written.

    Attributes:
        separator: between its values.
        names: of its columns; made up where it has no line of names.
        has_header: whether its first line is one.
        unnamed: those of its names that are made up, though it has a line of names.
    """

    separator: str
    names: tuple[str, ...]
    has_header: bool
    unnamed: tuple[str, ...] = ()

    @property
    def last_named(self) -> str:
        """The last column that has a name of its own; a line may end with a separator."""
        return next((name for name in reversed(self.names) if name not in self.unnamed), self.names[-1])


def is_blank(row: Sequence[str]) -> bool:
    """Return whether a row is an empty line, which is passed over."""
    return not row or (len(row) == 1 and not row[0].strip())
