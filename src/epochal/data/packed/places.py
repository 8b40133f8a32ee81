"""Where the samples of a pack lie: in one shuffle, so that neighbours on the disk are nothing like neighbours."""

from __future__ import annotations

from epochal.order import Order

_SEED = 0x73746F726564


def stored_order(samples: int) -> Order:
    """Return the shuffle in which rows are stored: place p holds the sample ``stored_order(N).indices_at(0, p)``."""
    return Order(samples, _SEED)
