"""The columns of a table in files, each written block by block and read as a whole or in parts.

Texts are kept as numbers of a list of different texts, in the order in which they first came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Shaped

from epochal.data.packed.disk_room import writing_in
from epochal.data.tables.fitting import Texts
from epochal.data.tables.table import Column, ColumnKind
from epochal.data.tables.values import as_meant, to_numbers
from epochal.errors import DataError

_TYPES: dict[str, Any] = {
    "number": np.float64,
    "boolean": np.float64,
    "date": np.dtype("datetime64[s]"),
    "text": np.int32,
}
_MISSING = -1


class NotNumbers(Exception):  # noqa: N818 (nobody's error: the file is read again)
    """A column of numbers holds something else in a later row; ``name`` is the column's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True, eq=False)
class ColumnFile:
    """A column in a file.

    Attributes:
        name: the column's.
        kind: what its values are.
        path: of the file.
        read_as: as of `Column`.
        whole: as of `Column`.
        texts: the different texts, where it is of texts.
        rows: how many there are.
    """

    name: str
    kind: ColumnKind
    path: Path
    read_as: str = ""
    whole: bool = False
    texts: dict[str, int] = field(default_factory=dict)
    rows: int = 0

    def add(self, column: Column) -> None:
        """Write the next values. Raises `NotNumbers` where they are texts and were numbers before."""
        values = column.values
        if column.kind != self.kind:
            numbers = to_numbers(values) if self.kind == "number" and column.kind == "text" else None
            if numbers is None or any(text is not None and "_" in text for text in values):
                raise NotNumbers(self.name)
            values = numbers
        if self.kind == "text":
            values = self._numbered(values)
        with writing_in(self.path.parent), self.path.open("ab" if self.rows else "wb") as file:
            file.write(np.ascontiguousarray(values, _TYPES[self.kind]).data)
        self.rows += len(values)

    def numbers(self, start: int = 0, stop: int | None = None) -> Shaped[np.ndarray, " n"]:
        """Read the values from ``start`` to ``stop``, not included; of texts their numbers, -1 for a missing one."""
        kind = np.dtype(_TYPES[self.kind])
        count = (self.rows if stop is None else min(stop, self.rows)) - start
        values = np.fromfile(self.path, np.int64 if kind.kind == "M" else kind, count, offset=start * kind.itemsize)
        if len(values) != count:
            raise DataError(f"{self.path} is shorter than what was written; give the command again")
        return values.view(kind)

    def column(self, start: int = 0, stop: int | None = None) -> Column:
        """Read the values from ``start`` to ``stop``, not included, as a column."""
        values = self.numbers(start, stop)
        if self.kind == "text":
            values = self.known()[values]
        return Column(self.name, self.kind, values, self.read_as, self.whole)

    def missing(self) -> Bool[np.ndarray, " n"]:
        """Return where there is no value."""
        return self.numbers() == _MISSING if self.kind == "text" else self.column().missing

    def known(self) -> Shaped[np.ndarray, " texts"]:
        """Return the different texts, and ``None`` at the end, where -1 leads to."""
        known = np.empty(len(self.texts) + 1, object)
        known[: len(self.texts)] = list(self.texts)
        return known

    def become(self, meant: Column) -> None:
        """Become a column of other values: ``meant`` says what each text is, and at its end what a missing one is."""
        if meant.kind != "text":
            kind = np.dtype(_TYPES[meant.kind])
            values = meant.values.astype(kind)[self.numbers()]
            with writing_in(self.path.parent):
                self.path.write_bytes(values.view(np.int64 if kind.kind == "M" else kind).data)
            self.texts = {}
        elif meant.values[: len(self.texts)].tolist() != list(self.texts):
            raise DataError(f"column '{self.name}' changed as it was read")
        self.kind, self.read_as, self.whole = meant.kind, meant.read_as, meant.whole

    def texts_as_meant(self, *, asked: bool) -> Texts | None:
        """Return a column of texts without the texts of each row; it becomes what they mean, and then ``None``.

        ``asked``: they are categories, whatever they look like.
        """
        if self.kind != "text":
            return None
        meant = Column(self.name, "text", self.known(), self.read_as)
        meant = meant if asked else as_meant(meant)
        if meant.kind != "text":
            self.become(meant)
            return None
        of_words = Texts.of(self.name, meant.values)
        return of_words._replace(numbers=of_words.numbers[self.numbers()])

    def _numbered(self, values: Shaped[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
        """Return texts as their numbers in the list, which grows by the new ones."""
        texts = self.texts
        numbers = [_MISSING if text is None else texts.setdefault(text, len(texts)) for text in values]
        return np.array(numbers, np.int32)
