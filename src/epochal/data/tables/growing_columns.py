"""Columns of a table in text that grow block by block: numbers where all of them are, as texts take much memory.

A text of three letters takes 52 bytes and its place in an array 8 more, a number 8 in all; equal texts are kept once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from jaxtyping import Float64, Shaped

from epochal.data.tables.values import NO_NUMBER, without_missing

CELLS: Final = 1 << 16
"""So many values of all columns are texts at once."""

_MOST_KEPT_ONCE: Final = 1 << 16
"""Different texts of a column; one with more of them seldom repeats any."""


@dataclass(slots=True)
class GrowingColumn:
    """A column of which the values come in blocks.

    Attributes:
        is_text: whether its values are kept as texts, ``None`` for a missing one; else they are floats.
        is_lost: whether it turned out to hold texts after some of them had become floats: it has to be read again.
    """

    is_text: bool
    is_lost: bool = False
    _parts: list[Shaped[np.ndarray, " block"]] = field(default_factory=list)
    _kept: dict[str, str] = field(default_factory=dict)
    _holds_numbers: bool = False
    _holds_signs: bool = False

    def add(self, cells: Sequence[str]) -> None:
        """Add the values of the next rows."""
        if self.is_lost:
            return
        texts = without_missing(cells)
        numbers = None if self.is_text else self._numbers(texts)
        if numbers is not None:
            self._parts.append(numbers)
        elif self._parts and not self.is_text:
            self.is_lost = True
            self._parts = []
        else:
            self.is_text = True
            self._parts.append(self._kept_once(texts))

    def end(self) -> None:
        """Decide what it is, now that all of it was added: signs for "nothing" alone, such as ``-``, are texts."""
        self.is_lost = self.is_lost or (not self.is_text and self._holds_signs and not self._holds_numbers)

    def values(self) -> Shaped[np.ndarray, " n"]:
        """Return its values in one array, and forget them here."""
        parts, self._parts = self._parts, []
        if parts:
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.empty(0, object if self.is_text else np.float64)

    def _numbers(self, texts: Shaped[np.ndarray, " block"]) -> Float64[np.ndarray, " block"] | None:
        """Return texts as `to_column` reads a column of numbers; ``None`` where one of them is none."""
        plain: list[str | float] = []
        for text in texts.tolist():
            if text is None:
                plain.append(np.nan)
            elif text.lower() in NO_NUMBER:
                self._holds_signs = True
                plain.append(np.nan)
            elif "_" in text:
                return None
            else:
                self._holds_numbers = True
                plain.append(text)
        try:
            return np.array(plain, object).astype(np.float64)
        except ValueError:
            return None

    def _kept_once(self, texts: Shaped[np.ndarray, " block"]) -> Shaped[np.ndarray, " block"]:
        for at, text in enumerate(texts.tolist()):
            known = self._kept.get(text)
            if known is not None:
                texts[at] = known
            elif text is not None and len(self._kept) < _MOST_KEPT_ONCE:
                self._kept[text] = text
        return texts


def in_blocks(rows: Iterator[list[str]], width: int) -> Iterator[list[tuple[str, ...]]]:
    """Yield the columns of some rows after others, all of them of one width."""
    height = max(1, CELLS // width)
    while block := list(islice(rows, height)):
        yield list(zip(*block, strict=True))
