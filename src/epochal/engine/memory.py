"""How many samples to compute at once, from the memory that the compiler predicts."""

from __future__ import annotations

import os

MEBIBYTE = 1 << 20
_MOST = 1024 * MEBIBYTE


def memory_limit() -> int:
    """Return the bytes that one iteration's intermediate values may take: 1 GiB, or a quarter of a smaller memory."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return _MOST
    return min(_MOST, physical // 4)


def smaller_micro_batch(micro_batch: int, predicted: int, limit: int) -> int:
    """Return a micro-batch that should fit where ``micro_batch`` needs ``predicted`` bytes, above ``limit``.

    Bytes grow about in proportion to samples; the result is rounded down to a multiple of 8 and is always smaller.

    >>> smaller_micro_batch(60_000, predicted=30 << 30, limit=1 << 30)
    2000
    """
    fitting = min(micro_batch * limit // predicted, micro_batch - 1)
    return max(1, fitting // 8 * 8 if fitting >= 8 else fitting)
