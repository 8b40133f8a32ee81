"""A table in memory: named columns of numbers, truth values, texts or dates, with what is missing marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Shaped

from epochal.errors import DataError, unknown_name

ColumnKind: TypeAlias = Literal["number", "boolean", "text", "date"]


CATEGORY = "category"
"""How texts were read whose owner made categories of them, whatever they look like."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column and its values.

    Attributes:
        name: unique in its table.
        kind: what the values are.
        values: ``(n,)`` float64 for numbers and truth values (0 and 1), NaN where missing; texts as objects, ``None``
            where missing; datetime64 in seconds, NaT where missing.
        whole: whether its numbers were stored as whole ones.
        read_as: how it was read, where that is not plain, such as ``"day/month/year"``; ``""`` elsewhere.
    """

    name: str
    kind: ColumnKind
    values: Shaped[np.ndarray, " n"]
    read_as: str = ""
    whole: bool = False

    @property
    def missing(self) -> Bool[np.ndarray, " n"]:
        """Where there is no value."""
        if self.kind == "text":
            return np.array([value is None for value in self.values], bool)
        missing: Bool[np.ndarray, " n"] = (np.isnat if self.kind == "date" else np.isnan)(self.values)
        return missing

    def take(self, rows: Shaped[np.ndarray, " taken"]) -> Column:
        """Return the values at these rows."""
        return replace(self, values=self.values[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of equal length.

    Attributes:
        name: for messages, such as the file's path.
        columns: in their order.
        has_header: whether its columns have names of their own; else they are called ``column 1`` and so on.
        place: names a row, from 0, as the user sees it: ``"line 17"`` of a file.
        notes: what the user should know of how it was read.
    """

    name: str
    columns: tuple[Column, ...]
    has_header: bool = True
    place: Callable[[int], str] = lambda row: f"row {row} (from 0)"
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0

    def column(self, name: str) -> Column:
        """Return a column by name. Raises `DataError` for an unknown name, with the nearest one."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"{self.name}: {unknown_name('column', name, self.names)}")

    def check_names(self, names: Iterable[str]) -> None:
        """Raise `DataError` for a name that is no column."""
        for name in names:
            self.column(name)

    def select(self, names: Sequence[str]) -> Table:
        """Return a table of these columns."""
        return replace(self, columns=tuple(self.column(name) for name in names))

    def take(self, rows: Shaped[np.ndarray, " taken"]) -> Table:
        """Return a table of these rows, which keep their places in messages."""
        numbers, place = np.arange(len(self))[rows], self.place
        columns = tuple(column.take(rows) for column in self.columns)
        return replace(self, columns=columns, place=lambda row: place(int(numbers[row])))
