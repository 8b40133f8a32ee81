"""What a value that was read from a file may be: its type and its range, as a table beside what the file holds.

Files come from anywhere, and each value is looked at once, where it is read; nobody behind that asks again.

>>> facts = table({"train": whole(1), "task": word("classification", "regression")})
>>> facts.require("data", {"train": 100, "task": "regression"})
>>> facts.require("data", {"train": -1, "task": "regression"})
Traceback (most recent call last):
    ...
ValueError: data.train is -1, not a whole number of at least 1
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from epochal.counts import shown

Inside: TypeAlias = Callable[[str, Any], None]

LARGEST = 2**63 - 1
"""What the largest whole number is that a history can hold."""
LARGEST_REAL = 1e300
"""What the largest measured number is: a hundred million of them have a sum, and a square of a loss is far below."""
_LONGEST, _MOST, _DEEPEST = 65_536, 100_000, 16


@dataclass(frozen=True, slots=True)
class Field:
    """What a value may be.

    Attributes:
        what: in words, for what is said of any other.
        holds: whether a value is one.
        inside: raises `ValueError` for what must not stand in it.
    """

    what: str
    holds: Callable[[Any], bool]
    inside: Inside | None = None

    def require(self, name: str, value: Any) -> None:
        """Raise `ValueError` for a value that is none, or holds none."""
        if not self.holds(value):
            raise ValueError(f"{name} is {shown(value)}, not {self.what}")
        if self.inside is not None:
            self.inside(name, value)


def whole(least: int = 0, most: int = LARGEST) -> Field:
    """Return the field of whole numbers within limits, both included."""
    what = f"a whole number of at least {least}" if most == LARGEST else f"a whole number from {least} to {most}"
    return Field(what, lambda value: type(value) is int and least <= value <= most)


def real(*, infinite: bool = False, least: float = -LARGEST_REAL, most: float = LARGEST_REAL) -> Field:
    """Return the field of numbers; ``infinite``: also of infinities and of no number, as a loss may be."""
    what = "a number" if infinite else "a finite number"
    if most != LARGEST_REAL:
        what = f"a finite number from {least:g} to {most:g}"
    elif least != -LARGEST_REAL:
        what = f"a number of at least {least:g}" if infinite else f"a finite number of at least {least:g}"

    def holds(value: Any) -> bool:
        if type(value) is int:
            return least <= value <= min(most, LARGEST)
        return type(value) is float and (least <= value <= most if math.isfinite(value) else infinite)

    return Field(what, holds)


def moment() -> Field:
    """Return the field of points in time, UTC, as ISO 8601 writes them."""
    form = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?[+]00:00", re.ASCII)

    def holds(value: Any) -> bool:
        with suppress(ValueError):
            return type(value) is str and form.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
        return False

    return Field("a time", holds)


def text(longest: int = _LONGEST) -> Field:
    """Return the field of texts of so many characters at most."""
    return Field(
        f"a text of at most {longest:,} characters", lambda value: type(value) is str and len(value) <= longest
    )


def matching(pattern: str, what: str) -> Field:
    """Return the field of texts of a form."""
    form = re.compile(pattern)
    return Field(what, lambda value: type(value) is str and form.fullmatch(value) is not None)


def word(*words: str) -> Field:
    """Return the field of some words."""
    return Field(f"one of these: {', '.join(words)}", lambda value: type(value) is str and value in words)


def switch() -> Field:
    """Return the field of truth values."""
    return Field("true or false", lambda value: type(value) is bool)


def content() -> Field:
    """Return the field of blocks of bytes."""
    return Field("a block of bytes", lambda value: type(value) is bytes)


def optional(field: Field) -> Field:
    """Return the field of what a field holds, or nothing."""

    def inside(name: str, value: Any) -> None:
        if value is not None:
            field.require(name, value)

    return Field(f"{field.what}, or nothing", lambda value: value is None or field.holds(value), inside)


def either(one: Field, other: Field) -> Field:
    """Return the field of what either of two holds."""

    def inside(name: str, value: Any) -> None:
        (one if one.holds(value) else other).require(name, value)

    return Field(f"{one.what}, or else {other.what}", lambda value: one.holds(value) or other.holds(value), inside)


def several(item: Field, most: int = _MOST) -> Field:
    """Return the field of lists of so many at most."""

    def inside(name: str, value: Any) -> None:
        for number, one in enumerate(value):
            item.require(f"{name}[{number}]", one)

    return Field(f"a list of at most {most:,}", lambda value: type(value) is list and len(value) <= most, inside)


def table(
    needed: Mapping[str, Field], may_have: Mapping[str, Field] | None = None, others: Field | None = None
) -> Field:
    """Return the field of tables with these fields, and perhaps those; ``others`` is what has any other name."""
    known = {**needed, **(may_have or {})}

    def inside(name: str, value: Any) -> None:
        for one in needed:
            if one not in value:
                raise ValueError(f"{name or 'it'} has no {one}")
        for one, found in value.items():
            field = known.get(one, others)
            if field is not None:
                field.require(f"{name}.{one}" if name else one, found)

    return Field("a table", _is_table, inside)


def plain() -> Field:
    """Return the field of texts, numbers and truth values, in lists and tables of a depth that nobody exceeds."""
    return Field("a plain value", lambda value: True, _check_plain)


def plain_table() -> Field:
    """Return the field of tables of plain values."""
    return Field("a table", _is_table, _check_plain)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) <= _MOST and all(type(name) is str for name in value)


def _check_plain(name: str, value: Any, depth: int = _DEEPEST) -> None:
    """Raise `ValueError` for what is too deep, too long or too large."""
    if depth == 0:
        raise ValueError(f"{name} holds lists in lists, {_DEEPEST} deep")
    if isinstance(value, Mapping):
        for one, found in value.items():
            _check_plain(f"{name}.{one}", found, depth - 1)
    elif isinstance(value, (list, tuple)):
        for found in value:
            _check_plain(name, found, depth - 1)
    elif type(value) is int and not -LARGEST - 1 <= value <= 2 * LARGEST + 1:
        raise ValueError(f"{name} is {shown(value)}, not a number of 64 bits")
    elif type(value) is str and len(value) > _LONGEST:
        raise ValueError(f"{name} has {len(value):,} characters; at most {_LONGEST:,} are read")
