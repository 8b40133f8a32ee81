"""From the columns of a table to the numbers that a model takes; plain values, kept in the run."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from epochal.data.tables.column_encoders import Encoder, Number, OneHot, read_encoder
from epochal.data.tables.table import Column, ColumnKind, Table
from epochal.data.tables.values import as_meant, as_text, odd_one
from epochal.errors import DataError


@dataclass(frozen=True, slots=True)
class TableEncoding:
    """How the rows of a table become samples.

    Attributes:
        encoders: one for each column that is used, in the order of their numbers.
        left_out: columns that are not used, and why.
        targets: the target columns' names.
        has_header: whether the table's columns have names of their own.
    """

    encoders: tuple[Encoder, ...]
    left_out: Mapping[str, str]
    targets: tuple[str, ...]
    has_header: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are used."""
        return tuple(encoder.name for encoder in self.encoders)

    @property
    def width(self) -> int:
        """How many numbers a sample has."""
        return sum(len(encoder.parts) for encoder in self.encoders)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name of each number of a sample."""
        return tuple(part for encoder in self.encoders for part in encoder.parts)

    @property
    def scaled(self) -> Bool[np.ndarray, " width"]:
        """Which numbers of a sample are to be shifted and scaled."""
        marks = [
            mark
            for encoder in self.encoders
            for mark in [encoder.is_scaled] * len(encoder.own_parts) + [False] * encoder.has_indicator
        ]
        return np.array(marks, bool)

    @property
    def takes_plain_rows(self) -> bool:
        """Whether a row of numbers can stand for the columns, because each of them is a number as it stands."""
        return all(isinstance(encoder, Number) and not encoder.has_indicator for encoder in self.encoders)

    def encode(self, table: Table) -> Float32[np.ndarray, "n width"]:
        """Return samples. Raises `DataError` for values that cannot be taken, with row and column."""
        samples = np.empty((len(table), self.width), np.float32)
        at = 0
        for encoder in self.encoders:
            column = self._fitting(encoder, table)
            own = len(encoder.own_parts)
            with np.errstate(over="ignore"):
                samples[:, at : at + own] = encoder.encode(column, lambda row: f"{table.name}: {table.place(row)}")
            if encoder.has_indicator:
                samples[:, at + own] = column.missing
            _check_finite(samples[:, at : at + own], column, table)
            at += own + encoder.has_indicator
        return samples

    def encode_array(self, x: Float[np.ndarray, "n columns"]) -> Float32[np.ndarray, "n width"]:
        """Return samples from rows of plain numbers. Raises `DataError` where some column is no number as it stands."""
        if not self.takes_plain_rows:
            other = next(one for one in self.encoders if not isinstance(one, Number) or one.has_indicator)
            raise DataError(
                f"the model was trained on a table whose column '{other.name}' is more than a number; give a table or "
                f"a frame with the columns {', '.join(self.names)}"
            )
        columns = tuple(Column(name, "number", np.asarray(x[:, at], np.float64)) for at, name in enumerate(self.names))
        return self.encode(Table("the array", columns))

    def unknown(self, table: Table) -> Iterable[str]:
        """Return a sentence for each column with texts that training never saw."""
        for encoder in self.encoders:
            if isinstance(encoder, OneHot):
                strange = encoder.unknown(self._fitting(encoder, table))
                if strange:
                    more = " …" if len(strange) > 3 else ""
                    yield f"column '{encoder.name}': unknown in training: {', '.join(strange[:3])}{more}; taken as none"

    def match(self, table: Table) -> tuple[Table, list[str]]:
        """Return the columns of a new table that are used, by name, and sentences about those that are not.

        Columns without names of their own are taken in their order. Raises `DataError` for a missing column.
        """
        absent = [name for name in self.names if name not in table.names]
        if (
            absent
            and len(absent) == len(self.names) == len(table.columns)
            and not (table.has_header and self.has_header)
        ):
            columns = (dataclasses.replace(c, name=n) for c, n in zip(table.columns, self.names, strict=True))
            return dataclasses.replace(table, columns=tuple(columns)), []
        if absent:
            others = [name for name in table.names if name not in self.names]
            more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
            near = difflib.get_close_matches(absent[0], others, n=1, cutoff=0.5)
            there = f"; is it '{near[0]}'?" if near else "."
            raise DataError(
                f"{table.name}: has no column '{absent[0]}'{more}, which the model was trained with{there} "
                f"Its columns: {', '.join(table.names)}"
            )

        known = {*self.names, *self.left_out, *self.targets}
        extra = [name for name in table.names if name not in known]
        notes = [f"{table.name}: not used, because training did not have it: {', '.join(extra)}"] if extra else []
        return table.select(self.names), notes

    def describe(self) -> list[tuple[str, str]]:
        """Return the columns, and what is done to each, for people."""
        used = [(encoder.name, encoder.describe()) for encoder in self.encoders]
        return [*used, *((name, f"left out: {why}") for name, why in self.left_out.items())]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "kind": "table",
            "header": self.has_header,
            "columns": [{"as": one.of, **dataclasses.asdict(one)} for one in self.encoders],
            "left_out": dict(self.left_out),
            "targets": list(self.targets),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TableEncoding:
        """Read `to_dict`'s result. Raises `KeyError`, `TypeError`, `ValueError` or `DataError` where it is damaged."""
        encoders = tuple(read_encoder(dict(one)) for one in content["columns"])
        left_out = {str(name): str(why) for name, why in content["left_out"].items()}
        return cls(encoders, left_out, tuple(map(str, content["targets"])), bool(content["header"]))

    def _fitting(self, encoder: Encoder, table: Table) -> Column:
        """Return the column of an encoder, of its kind. Raises `DataError` where it is of another."""
        column = table.column(encoder.name)
        if column.kind != encoder.kind:
            column = as_meant(column)
        if column.kind == encoder.kind:
            return column
        if column.missing.all():
            nothing: dict[ColumnKind, Any] = {"text": None, "date": np.datetime64("NaT", "s")}
            values = np.full(len(column.values), nothing.get(encoder.kind, np.nan))
            return Column(column.name, encoder.kind, values)
        if encoder.kind == "boolean" and column.kind == "number" and set(np.unique(column.values)) <= {0.0, 1.0}:
            return dataclasses.replace(column, kind="boolean")
        if encoder.kind == "number" and column.kind == "boolean":
            return dataclasses.replace(column, kind="number")
        if encoder.kind == "text" and column.kind != "text":
            return as_text(column)

        odd = odd_one(column.values) if column.kind == "text" else None
        row = odd[0] if odd else int(np.argmax(~column.missing))
        value = str(column.values[row])
        raise DataError(
            f"{table.name}: {table.place(row)}, column '{encoder.name}': '{value:.40}' is no {encoder.kind}, which the "
            "column was in training"
        )


def _check_finite(samples: Float32[np.ndarray, "n parts"], column: Column, table: Table) -> None:
    good = np.isfinite(samples).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"{table.name}: {table.place(row)}, column '{column.name}': {column.values[row]} is beyond 32-bit floats"
        )
