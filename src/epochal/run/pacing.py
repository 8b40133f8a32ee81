"""How often something that costs time is done, so that it costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class RateLimiter:
    """Waits at least ``interval`` seconds, and at least ``to_cost`` times as long as it took the last time.

    So its share of the time stays below 1 / ``to_cost``.

    >>> limiter = RateLimiter(2.0, to_cost=50.0, clock=iter([0.0, 1.9, 2.0, 3.0, 8.0]).__next__)
    >>> limiter.is_due(), limiter.is_due()
    (False, True)
    >>> limiter.restart(0.1)
    >>> limiter.is_due()
    True
    """

    interval: float
    to_cost: float
    clock: Callable[[], float] = time.monotonic
    _wait: float = field(default=0.0, init=False)
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._wait = self.interval
        self._last = self.clock()

    def is_due(self) -> bool:
        """Return whether it is time."""
        return self.clock() - self._last >= self._wait

    def restart(self, cost: float = 0.0) -> None:
        """Count anew from now, after it took ``cost`` seconds."""
        self._last = self.clock()
        self._wait = max(self.interval, self.to_cost * cost)
