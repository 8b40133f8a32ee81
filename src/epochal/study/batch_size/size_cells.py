"""The cells of the table of batch sizes, as the terminal and the page write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from epochal.study.batch_size.answer import Mark
from epochal.study.batch_size.trials import SizeRow

MARKS: Final[Mapping[Mark, str]] = {
    "scaling": "sizes.mark_scaling",
    "diminishing": "sizes.mark_diminishing",
    "flat": "sizes.mark_flat",
    "missed": "sizes.mark_missed",
}
"""The key of each mark's word."""


def rate_text(row: SizeRow) -> str:
    """Return a size's best rate, with a hollow point where a better one may lie beyond those that were tried."""
    if row.lr is None:
        return "–"
    return f"{row.lr:.3g}{' ○' if row.is_edge else ''}"


def seeds_text(row: SizeRow) -> str:
    """Return how far the seeds lie apart, as a part of their mean: half of their range; a dash for a single one."""
    seeds = row.steps_of_seeds
    if len(seeds) < 2 or not min(seeds):  # a seed that was there already has no factor to another
        return "–"
    return f"±{100 * (math.sqrt(max(seeds) / min(seeds)) - 1):.0f} %"


def short(value: float | None) -> str:
    """Write a number with three digits of it, or all of those before the point; a dash for none.

    >>> short(0.37204), short(2394.2), short(None)
    ('0.372', '2,394', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
