"""Points and lengths of training, in whole numbers of any size: nothing passes through a float."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import total_ordering

from epochal.counts import parse_count, shortened
from epochal.errors import PlanError


class Unit(Enum):
    """What a span is counted in; the value is its suffix in text, as in ``50ep``."""

    EPOCHS = "ep"
    ITERATIONS = "it"
    SAMPLES = "sa"
    MILLISECONDS = "ms"

    @property
    def word(self) -> str:
        """The unit's plural in English."""
        return self.name.lower()


@total_ordering
@dataclass(frozen=True, slots=True)
class Span:
    """A length of training: so many epochs, iterations, samples or milliseconds. A training budget is a span.

    >>> Span.parse("50ep")
    Span(amount=50, unit=<Unit.EPOCHS: 'ep'>)
    >>> str(Span.iterations(300) + Span.iterations(300))
    '600it'

    Spans of one unit add, subtract and compare. Different units raise `TypeError`, because only a `Plan` knows
    how many iterations an epoch has; they are never equal.
    """

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", parse_count(self.unit.word, self.amount, at_least=0))

    @classmethod
    def epochs(cls, amount: int) -> Span:
        """Return a span of whole passes over the training set."""
        return cls(amount, Unit.EPOCHS)

    @classmethod
    def iterations(cls, amount: int) -> Span:
        """Return a span of weight updates."""
        return cls(amount, Unit.ITERATIONS)

    @classmethod
    def samples(cls, amount: int) -> Span:
        """Return a span of samples used."""
        return cls(amount, Unit.SAMPLES)

    @classmethod
    def seconds(cls, amount: float | str) -> Span:
        """Return a span of training time, exact to the millisecond: ``2``, ``0.5`` or ``"0.5"`` seconds."""
        text = f"{amount:.3f}" if isinstance(amount, float) else str(amount).strip()
        whole, _, decimals = text.partition(".")
        if not re.fullmatch(r"[0-9]+(\.[0-9]{1,3})?", text):
            raise PlanError(f"seconds must be at least 0, with at most three decimals, got '{shortened(text)}'")
        milliseconds = 1000 * parse_count("seconds", whole, at_least=0) + int(decimals.ljust(3, "0"))
        return cls(milliseconds, Unit.MILLISECONDS)

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read ``50ep``, ``30000it``, ``3000000sa``, ``90s`` or ``500ms``. Raises `PlanError` for any other text."""
        if match := re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*s\s*", text):
            return cls.seconds(match[1])
        match = re.fullmatch(r"\s*([0-9][0-9_,]*)\s*(ep|it|sa|ms)\s*", text)
        if match is None:
            raise PlanError(f"'{shortened(text)}' is no training length; write 50ep, 30000it, 3000000sa or 90s")
        unit = Unit(match[2])
        return cls(parse_count(unit.word, match[1], at_least=0), unit)

    def __str__(self) -> str:
        if self.unit is not Unit.MILLISECONDS:
            return f"{self.amount}{self.unit.value}"
        seconds, rest = divmod(self.amount, 1000)
        return f"{seconds}s" if not rest else f"{seconds}.{rest:03d}".rstrip("0") + "s"

    def __add__(self, other: object) -> Span:
        if not isinstance(other, Span) or other.unit is not self.unit:
            return NotImplemented
        return Span(self.amount + other.amount, self.unit)

    def __sub__(self, other: object) -> Span:
        if not isinstance(other, Span) or other.unit is not self.unit:
            return NotImplemented
        return Span(self.amount - other.amount, self.unit)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Span) or other.unit is not self.unit:
            return NotImplemented
        return self.amount < other.amount


@total_ordering
@dataclass(frozen=True, slots=True)
class Position:
    """A point in training, between two iterations.

    ``iteration`` updates are done, ``epoch`` epochs are complete, and the current epoch has used ``offset`` of its
    samples. The end of an epoch is the beginning of the next: after 600 of 600 iterations the position is
    ``Position(iteration=600, epoch=1, offset=0)``.

    The difference of two positions is a `Span` of iterations; positions are ordered by iteration.
    """

    iteration: int = 0
    epoch: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        for name in ("iteration", "epoch", "offset"):
            object.__setattr__(self, name, parse_count(name, getattr(self, name), at_least=0))

    def __sub__(self, other: object) -> Span:
        if not isinstance(other, Position):
            return NotImplemented
        return Span.iterations(self.iteration - other.iteration)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Position):
            return NotImplemented
        return self.iteration < other.iteration
