"""From the columns of a table to the numbers that a model takes; plain values, kept in the run."""

from __future__ import annotations

import dataclasses
import difflib
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

from epochal.data.tables.table import Column, ColumnKind, Table
from epochal.data.tables.values import as_meant, as_text, odd_one
from epochal.errors import DataError

MOST_CATEGORIES = 50
"""So many different texts of a column become a number each; more are hashed."""
BUCKETS = 64
"""So many numbers stand for a column of more different texts."""

_DAY = 86_400
_PARTS: dict[str, Callable[[Any], Any]] = {
    "year": lambda dates: dates.astype("datetime64[Y]").astype(np.int64) + 1970,
    "month": lambda dates: dates.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "weekday": lambda dates: (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7,  # 0 for Monday
    "hour": lambda dates: (dates - dates.astype("datetime64[D]")).astype(np.int64) / 3600,
}

Place: TypeAlias = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Encoder:
    """How a column becomes some numbers.

    Attributes:
        name: the column's.
        kind: what its values have to be.
        has_indicator: whether a number more says if the value is missing.
    """

    of: ClassVar[str] = ""
    kind: ClassVar[ColumnKind] = "number"
    name: str
    has_indicator: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its numbers, the indicator last."""
        return (*self.own_parts, *((f"{self.name}?",) if self.has_indicator else ()))

    @property
    def own_parts(self) -> tuple[str, ...]:
        """The names of its numbers without the indicator."""
        return (self.name,)

    @property
    def is_scaled(self) -> bool:
        """Whether its numbers are shifted and scaled to mean 0 and deviation 1 afterwards, the indicator not."""
        return False

    def describe(self) -> str:
        """Return what is done to the column, for people."""
        raise NotImplementedError

    def encode(self, column: Column, place: Place) -> Float64[np.ndarray, "n parts"]:
        """Return the numbers, without the indicator. Raises `DataError` for a value that cannot be taken."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Number(Encoder):
    """A number, less ``offset``; a missing one is ``fill``, the mean of the training rows."""

    of: ClassVar[str] = "number"
    fill: float = 0.0
    offset: float = 0.0

    @property
    def is_scaled(self) -> bool:
        """Yes."""
        return True

    def describe(self) -> str:
        """Return what is done."""
        missing = f", missing → mean {self.fill:.4g} and an indicator" if self.has_indicator else ""
        return f"number, scaled{missing}"

    def encode(self, column: Column, place: Place) -> Float64[np.ndarray, "n parts"]:
        """Return the numbers."""
        values = column.values
        infinite = np.isinf(values)
        if infinite.any():
            row = int(np.argmax(infinite))
            raise DataError(f"{place(row)}, column '{self.name}': {values[row]} is not finite; fix or remove that row")
        filled = np.where(np.isnan(values), self.fill, values)
        return (filled - self.offset if self.offset else filled)[:, None]


@dataclass(frozen=True, slots=True)
class Truth(Encoder):
    """True and false as 1 and 0; a missing one is ``fill``, the most frequent of the training rows."""

    of: ClassVar[str] = "boolean"
    kind: ClassVar[ColumnKind] = "boolean"
    fill: float = 0.0

    def describe(self) -> str:
        """Return what is done."""
        missing = f", missing → {bool(self.fill)} and an indicator" if self.has_indicator else ""
        return f"true or false, as 1 or 0{missing}"

    def encode(self, column: Column, place: Place) -> Float64[np.ndarray, "n parts"]:
        """Return zeros and ones."""
        numbers: Float64[np.ndarray, "n parts"] = np.where(np.isnan(column.values), self.fill, column.values)[:, None]
        return numbers


def _marks(places: Int[np.ndarray, " n"], width: int) -> Float64[np.ndarray, "n width"]:
    """Return rows of zeros with a one at each place; none for the place -1."""
    marks: Float64[np.ndarray, "n width"] = (places[:, None] == np.arange(width)).astype(np.float64)
    return marks


@dataclass(frozen=True, slots=True)
class OneHot(Encoder):
    """A number for each text, 1 where it is that; all are 0 for a missing one, and for one that training never saw."""

    of: ClassVar[str] = "categories"
    kind: ClassVar[ColumnKind] = "text"
    categories: tuple[str, ...] = ()

    @property
    def own_parts(self) -> tuple[str, ...]:
        """One for each category."""
        return tuple(f"{self.name}={category}" for category in self.categories)

    def describe(self) -> str:
        """Return what is done."""
        shown = ", ".join(self.categories[:4]) + (" …" if len(self.categories) > 4 else "")
        missing = ", missing: an indicator" if self.has_indicator else ""
        return f"{len(self.categories)} categories, one-hot: {shown}{missing}"

    def encode(self, column: Column, place: Place) -> Float64[np.ndarray, "n parts"]:
        """Return zeros and a one."""
        numbers = {category: number for number, category in enumerate(self.categories)}
        places = np.array([numbers.get(value, -1) for value in column.values], np.int64)
        return _marks(places, len(self.categories))

    def unknown(self, column: Column) -> list[str]:
        """Return the texts that training never saw."""
        return sorted({value for value in column.values if value is not None} - set(self.categories))


@dataclass(frozen=True, slots=True)
class Hashed(Encoder):
    """Texts, far too many for a number each, share ``buckets`` numbers by their CRC-32."""

    of: ClassVar[str] = "hashed"
    kind: ClassVar[ColumnKind] = "text"
    buckets: int = BUCKETS

    @property
    def own_parts(self) -> tuple[str, ...]:
        """One for each bucket."""
        return tuple(f"{self.name}#{number}" for number in range(self.buckets))

    def describe(self) -> str:
        """Return what is done."""
        missing = ", missing: an indicator" if self.has_indicator else ""
        return f"more than {MOST_CATEGORIES} categories, hashed to {self.buckets}{missing}"

    def encode(self, column: Column, place: Place) -> Float64[np.ndarray, "n parts"]:
        """Return zeros and a one."""
        places = [-1 if value is None else zlib.crc32(value.encode()) % self.buckets for value in column.values]
        return _marks(np.array(places, np.int64), self.buckets)


@dataclass(frozen=True, slots=True)
class Date(Encoder):
    """A date as year, month, day of the week (0 for Monday) and age in days before ``latest``, perhaps the hour."""

    of: ClassVar[str] = "date"
    kind: ClassVar[ColumnKind] = "date"
    latest: str = "1970-01-01T00:00:00"
    has_time: bool = False
    fill: tuple[float, ...] = ()

    @property
    def own_parts(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"{self.name} {part}" for part in ("year", "month", "weekday", "age", *("hour",) * self.has_time))

    @property
    def is_scaled(self) -> bool:
        """Yes."""
        return True

    def describe(self) -> str:
        """Return what is done."""
        hour = ", hour" if self.has_time else ""
        missing = ", missing → means and an indicator" if self.has_indicator else ""
        return f"date: year, month, weekday, age in days before {self.latest[:10]}{hour}{missing}"

    def encode(self, column: Column, place: Place) -> Float64[np.ndarray, "n parts"]:
        """Return the parts."""
        missing = np.isnat(column.values)
        dates = np.where(missing, np.datetime64(self.latest, "s"), column.values)
        age = (np.datetime64(self.latest, "s") - dates).astype(np.int64) / _DAY
        names = ("year", "month", "weekday")
        parts = [_PARTS[name](dates) for name in names] + [age] + [_PARTS["hour"](dates)] * self.has_time
        numbers = np.stack(parts, axis=1).astype(np.float64)
        if self.fill:
            numbers[missing] = self.fill
        return numbers


ENCODERS: dict[str, type[Encoder]] = {one.of: one for one in (Number, Truth, OneHot, Hashed, Date)}


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
        encoders = tuple(_read_encoder(dict(one)) for one in content["columns"])
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


def _read_encoder(content: dict[str, Any]) -> Encoder:
    """Return an encoder from plain values, each of its field's type."""
    kind = ENCODERS[content.pop("as")]
    plain = {"name": str, "has_indicator": bool, "has_time": bool, "latest": str, "buckets": int}
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        value = content.pop(field.name)
        if isinstance(value, list):
            value = tuple(str(one) if field.name == "categories" else _finite(one) for one in value)
        elif field.name in plain:
            value = plain[field.name](value)
        else:
            value = _finite(value)
        values[field.name] = value
    if content or not 1 <= values.get("buckets", 1) <= 2**16:
        raise DataError(f"column '{values['name']}' has odd settings")
    return kind(**values)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise DataError(f"{value} is no number")
    return number


def _check_finite(samples: Float32[np.ndarray, "n parts"], column: Column, table: Table) -> None:
    good = np.isfinite(samples).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"{table.name}: {table.place(row)}, column '{column.name}': {column.values[row]} is beyond 32-bit floats"
        )
