"""How long the rows of ragged parts are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from epochal.data.ragged import Ragged, RaggedPart, lengths_of
from epochal.errors import DataError


def refuse_length(length: int | None, source: object) -> None:
    """Raise `DataError` where a length is given for a source whose rows have one."""
    if length is not None:
        raise DataError(f"length={length} is for rows of different lengths, and {source} has none; leave it out")


class Lengths:
    """How long the rows of each ragged part are, for a sentence about it."""

    def __init__(self) -> None:
        self._of: dict[RaggedPart, tuple[int, int, int, int]] = {}
        self.cut = Counter[str]()
        """How many rows of each part were longer than they may be."""

    @property
    def longest(self) -> dict[str, int]:
        """How long the longest row of each part is, by its name."""
        return {part.name: high for part, (_, _, _, high) in self._of.items()}

    def add(self, x: Mapping[str, Any], ragged: Ragged) -> None:
        """Count the next rows."""
        for part in ragged:
            lengths = lengths_of(x, part)
            rows, total, low, high = self._of.get(part, (0, 0, int(lengths[0]), 0))
            total += int(lengths.sum(dtype=np.int64))
            self._of[part] = (rows + len(lengths), total, min(low, int(lengths.min())), max(high, int(lengths.max())))

    def notes(self, padded: Mapping[str, int]) -> tuple[str, ...]:
        """Return what a user should know of each part."""
        notes: list[str] = []
        for part, (rows, total, low, high) in self._of.items():
            notes.append(
                f"'{part.name}': rows have {low:,} to {high:,} values, {total / rows:.1f} on average; a model gets "
                f"them padded with zeros to {padded[part.name]:,}, and how many are a row's own as '{part.lengths}'"
            )
            if cut := self.cut[part.name]:
                notes.append(f"'{part.name}': {cut:,} longer rows were cut")
        return tuple(notes)
