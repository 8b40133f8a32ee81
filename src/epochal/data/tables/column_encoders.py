"""From a column of a table to the numbers that a model takes: what each kind of column becomes."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float64, Int

from epochal.data.tables.table import Column, ColumnKind
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


def read_encoder(content: dict[str, Any]) -> Encoder:
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
