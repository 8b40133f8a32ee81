"""How batch sizes are written that change while a run trains: ``100,200@10ep,400@5000it``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, SupportsIndex, TypeAlias

from epochal.counts import parse_count, shortened, shown
from epochal.errors import PlanError
from epochal.spans import Span, Unit

BatchSizes: TypeAlias = SupportsIndex | str | Mapping[Span | str | int, SupportsIndex | str]

BEGINNING = Span.iterations(0)
_MOST = 100


@dataclass(frozen=True, slots=True)
class SizeFrom:
    """A batch size, or ``"all"``, and the length of training after which it begins."""

    size: int | Literal["all"]
    start: Span = BEGINNING

    def __str__(self) -> str:
        return f"{self.size}@{self.start}" if self.start.amount else str(self.size)


def read_batch_sizes(value: object) -> tuple[SizeFrom, ...]:
    """Read one batch size, or several with where each begins.

    >>> [str(one) for one in read_batch_sizes("100, 200@10ep, all@5000it")]
    ['100', '200@10ep', 'all@5000it']
    >>> read_batch_sizes({0: 100, "10ep": 200}) == read_batch_sizes("100,200@10ep")
    True

    Raises `PlanError` for any other text, and where one does not begin after the one before it.
    """
    if isinstance(value, Mapping):
        sizes = [SizeFrom(_read_size(size), _read_start(start, f"{size}@{start}")) for start, size in value.items()]
    elif isinstance(value, str) and "@" in value:
        sizes = [_read_item(item, is_first=number == 0) for number, item in enumerate(value.split(","))]
    else:
        return (SizeFrom(_read_size(value)),)

    if not sizes or sizes[0].start.amount:
        raise PlanError(
            f"{shown(value)} has no batch size to begin with; write 100,200@10ep, or a mapping whose first key is 0"
        )
    if len(sizes) > _MOST:
        raise PlanError(f"{len(sizes):,} batch sizes in one schedule; at most {_MOST:,} are read")
    for before, after in itertools.pairwise(sizes):
        # of two units, only a plan knows which is first
        if not after.start.amount or (after.start.unit is before.start.unit and not before.start < after.start):
            raise PlanError(f"batch size {after} does not begin after {before}; write them as they follow each other")
    return tuple(sizes)


@dataclass(frozen=True, slots=True)
class Adaptive:
    """A batch that grows by what is measured: from ``low``, by default the usual size, to at most ``high``."""

    low: int
    high: int | Literal["all"] = "all"

    def __str__(self) -> str:
        return f"adaptive:{self.low}-{self.high}"

    def doubled(self, samples: int) -> Adaptive:
        """Return the next larger batch of N samples; the same where there is none."""
        high = samples if self.high == "all" else self.high
        return Adaptive(max(self.low, min(2 * self.low, high)), self.high)


def read_adaptive(value: object, usual: int = 1) -> Adaptive | None:
    """Read an adaptive batch size; ``None`` for any other. ``usual`` is where it begins if that is not said.

    >>> str(read_adaptive("adaptive:100-3200")), str(read_adaptive("adaptive", 100)), read_adaptive("100")
    ('adaptive:100-3200', 'adaptive:100-all', None)
    """
    if not isinstance(value, str) or not value.strip().startswith("adaptive"):
        return None
    words, _, range_ = value.strip().partition(":")
    low, sign, high = range_.partition("-")
    if words != "adaptive" or (":" in value and not sign):
        raise PlanError(f"'{shortened(value)}' is no adaptive batch size; write adaptive, or adaptive:100-3200")

    sizes = Adaptive(_read_number(low), _read_size(high)) if sign else Adaptive(usual)
    if isinstance(sizes.high, int) and sizes.high < sizes.low:
        raise PlanError(f"an adaptive batch size grows, and {sizes.high} is below {sizes.low}; write adaptive:100-3200")
    return sizes


def _read_number(value: str) -> int:
    return parse_count("batch size", value)


def _read_size(value: object) -> int | Literal["all"]:
    return "all" if isinstance(value, str) and value.strip() == "all" else parse_count("batch size", value)


def _read_item(item: str, *, is_first: bool) -> SizeFrom:
    size, sign, start = item.partition("@")
    if is_first == bool(sign):
        raise PlanError(
            f"'{shortened(item.strip())}' is no part of a schedule of batch sizes; write one size, and each later one "
            "with where it begins: 100,200@10ep,400@5000it"
        )
    return SizeFrom(_read_size(size), _read_start(start, item.strip()) if sign else BEGINNING)


def _read_start(value: object, item: str) -> Span:
    if isinstance(value, int) and value == 0:
        return BEGINNING
    start = value if isinstance(value, Span) else Span.parse(value if isinstance(value, str) else shown(value))
    if start.unit is Unit.MILLISECONDS:
        raise PlanError(
            f"a batch size cannot begin after a time, got {shortened(item)}, as no two runs would be alike; write "
            "200@10ep, 200@5000it or 200@600000sa"
        )
    return start
