"""A process of several that is alive but makes no progress is found: JAX's heartbeats notice only those that are gone.

Every process watches itself. Between two chunks of a training all of them wait for the slowest one, so all of them
make no progress where one is stuck, and the one that is says where.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

from epochal.clock import Plan
from epochal.errors import OptionError
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Start
from epochal.words.phrases import translate
from epochal.words.plain_text import plain_text

LIMIT = "EPOCHAL_WATCHDOG"
"""The variable that holds the seconds without progress after which a process gives up; 0 for never."""

STUCK = 75
"""The exit status of a process that gave up; a resume goes on from the last checkpoint."""

_LEAST = 60.0
_TIMES = 20
_GRACE = 2.0


class Watchdog(Callback):
    """Ends this process when it has made no progress for ``least`` seconds, and for 20 times as long as usual.

    It rests while programs are compiled: for the first chunk, for one of another size, and in the first evaluation.

    Args:
        least: seconds.
        give_up: called, in a thread of its own, with the seconds that passed.
        clock: returns seconds.
    """

    def __init__(
        self,
        least: float = _LEAST,
        give_up: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._least, self._give_up, self._clock = least, give_up or _leave, clock
        self._usual = 0.0
        self._since: float | None = None
        self._plan: Plan | None = None
        self._sizes: set[int] = set()
        self._has_evaluated = False
        self._spent = self._ended = 0.0
        self._over = threading.Event()

    @property
    def limit(self) -> float:
        """Seconds without progress after which it gives up."""
        return max(self._least, _TIMES * self._usual)

    def on_start(self, start: Start) -> None:
        """Begin to watch; what is compiled at first is not counted."""
        self._plan, self._since, self._spent = start.plan, None, start.point.seconds
        self._over = threading.Event()
        if self._least > 0:
            threading.Thread(target=self._watch, args=(self._over,), name="watchdog", daemon=True).start()

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Note progress. What is compiled next, for a new batch size or the first evaluation, is not counted."""
        self._note(chunk.seconds)
        self._sizes.add(chunk.batch_size)
        self._spent += chunk.seconds
        plan, position = self._plan, chunk.position
        at_end = position.offset == 0 or (plan is not None and plan.is_spent(position, self._spent))
        next_size = None if plan is None else plan.next_batch_size(position)
        if next_size not in self._sizes or (at_end and not self._has_evaluated):
            self._since = None
        self._ended = self._clock()

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Note progress: the evaluation is over."""
        self._note(self._clock() - self._ended if self._has_evaluated else 0.0)
        self._has_evaluated = self._has_evaluated or epoch.evaluation is not None

    def on_end(self, end: End) -> None:
        """Watch no more."""
        self._since = None
        self._over.set()

    def _note(self, seconds: float) -> None:
        """Note progress, and how long it took; a longest time is forgotten slowly."""
        self._usual = max(seconds, 0.9 * self._usual)
        self._since = self._clock()

    def check(self) -> None:
        """Give up if it is time to."""
        since = self._since
        if since is not None and (passed := self._clock() - since) > self.limit:
            self._since = None
            self._give_up(passed)

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(min(1.0, self._least / 4)):
            self.check()


def watchdog_limit() -> float:
    """Return the limit that EPOCHAL_WATCHDOG names, or the usual one. Raises `OptionError`."""
    given = os.environ.get(LIMIT)
    if given is None:
        return _LEAST
    try:
        least = float(given)
    except ValueError:
        least = -1.0
    if not 0 <= least < float("inf"):
        raise OptionError(f"{LIMIT} must be seconds without progress, or 0 for never, got '{given}'")
    return least


def _leave(seconds: float) -> None:
    """Say where each thread is, and end this process at once: nothing in it can be waited for."""
    faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
    message = (
        f"no progress for {seconds:.0f} s: this process or another one of the training is stuck, as the lines above "
        f"say; resume goes on from the last checkpoint ({LIMIT}=SECONDS allows more time, 0 any)"
    )
    os.write(2, f"epochal: {plain_text(translate(message))}\n".encode())
    # the first that leaves ends the others: the one that is stuck shall have said where by then
    time.sleep(_GRACE)
    os._exit(STUCK)
