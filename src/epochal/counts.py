"""Reading whole numbers exactly: counts of samples, epochs and iterations, of any size, as people write them."""

from __future__ import annotations

import operator
import re

from epochal.errors import PlanError

_SHOWN_DIGITS = 24
_LONGEST_SHOWN = 60
_MOST_DIGITS = 1000  # Python prints integers of up to 4,300 digits, and two of these are multiplied
_WHOLE_NUMBER = re.compile(r"[+-]?([0-9]+(_[0-9]+)*|[0-9]{1,3}(,[0-9]{3})+)")


def parse_count(name: str, value: object, *, at_least: int | None = 1, at_most: int | None = None) -> int:
    """Return ``value`` as an exact integer of at least ``at_least`` and at most ``at_most``, if these are given.

    >>> parse_count("samples", "9007199254740993")
    9007199254740993

    Text may group its digits: ``60_000`` or ``60,000``, but ``1,5`` is refused, as it may mean a fraction. Raises
    `PlanError` for anything that is no whole number, floats included: 6e4 may look whole, but larger floats silently
    are not the number that was written.
    """
    if isinstance(value, str):
        text = value.strip()
        # a float would read 9007199254740993 as another number
        if not _WHOLE_NUMBER.fullmatch(text):
            raise PlanError(f"{name} must be a whole number, got '{shortened(value)}'")
        digits = text.replace("_", "").replace(",", "")
        if len(digits) > _MOST_DIGITS:
            raise PlanError(f"{name} has {len(digits):,} digits; at most {_MOST_DIGITS:,} are read")
        number = int(digits)
    elif isinstance(value, bool):
        raise PlanError(f"{name} must be a whole number, got {value}")
    else:
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise PlanError(f"{name} must be a whole number, got {shown(value)}; write it as an int") from None

    if at_least is not None and number < at_least:
        raise PlanError(f"{name} must be at least {at_least}, got {shortened(number)}")
    if at_most is not None and number > at_most:
        raise PlanError(f"{name} must be at most {at_most:,}, got {shortened(number)}")
    return number


def shortened(value: int | str) -> str:
    """Return a number or text as an error shows it: whole, or its beginning and end where it is long."""
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python prints no integer of 4,300 digits
        return f"a number of {value.bit_length():,} bits"
    text = str(value)
    return text if len(text) <= _SHOWN_DIGITS else f"{text[:12]}…{text[-4:]} ({len(text)} characters)"


def shown(value: object) -> str:
    """Return a value as an error shows it: whole where it is short, else its beginning or its type."""
    if isinstance(value, str):
        return f"'{shortened(value)}'"
    text = repr(value)
    is_plain = len(text) <= _LONGEST_SHOWN and "\n" not in text and not text.startswith("<")
    return text if is_plain else f"a value of type {type(value).__name__}"
