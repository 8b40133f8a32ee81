"""When checkpoints are saved, and which are kept: in the background, at a cadence that costs next to nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from epochal.record.checkpoint import Checkpoint, checkpoint_files, iteration_of, save_checkpoint

_NEWEST_KEPT = 3
_MOST_WAITING = 8
_SHORTEST_INTERVAL = 2.0
_INTERVAL_TO_COST = 50.0


@dataclass(slots=True)
class Cadence:
    """When something that costs time is due again: after ``to_cost`` times what it took, and at least ``interval``.

    >>> cadence = Cadence(2.0, to_cost=50.0, clock=iter([0.0, 1.9, 2.0, 3.0, 8.0]).__next__)
    >>> cadence.is_due(), cadence.is_due()
    (False, True)
    >>> cadence.restart(0.1)
    >>> cadence.is_due()
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


@dataclass(slots=True)
class CheckpointSaver:
    """Saves checkpoints in a thread of its own, keeps the newest three and the best one.

    Attributes:
        folder: where they go.
        every: seconds between them; ``None`` adapts: 50 times what one costs, and at least 2 seconds, so that they
            take at most 2 % of the time.
        best: the iteration of the best one so far.
    """

    folder: Path
    every: float | None = None
    best: int | None = None
    _pending_best: Checkpoint | None = field(default=None, init=False)
    _writing: Future[float] | None = field(default=None, init=False)
    _keeping: deque[Future[Path]] = field(default_factory=deque, init=False)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="checkpoint"), init=False
    )
    _cadence: Cadence = field(init=False)

    def __post_init__(self) -> None:
        self.set_interval(self.every)

    def set_interval(self, every: float | None) -> None:
        """Save every so many seconds from now on; ``None`` adapts."""
        self.every = every
        self._cadence = Cadence(_SHORTEST_INTERVAL, _INTERVAL_TO_COST) if every is None else Cadence(every, 0.0)

    def is_due(self) -> bool:
        """Return whether it is time for the next. Raises `RunError` where the one before could not be saved."""
        if self._writing is not None and self._writing.done():
            self._finish_writing()
        return self._writing is None and self._cadence.is_due()

    def offer_best(self, checkpoint: Checkpoint) -> None:
        """Remember the best so far, to be saved with the next."""
        self._pending_best = checkpoint
        self.best = checkpoint.position.iteration

    def save(self, checkpoint: Checkpoint, copy_seconds: float = 0.0) -> None:
        """Start saving; the history must already hold what came before it."""
        self.wait()
        self._cadence.restart()
        best, self._pending_best = self._pending_best, None
        self._writing = self._thread.submit(self._write, best, checkpoint, self.best, copy_seconds)

    def keep(self, folder: Path, checkpoint: Checkpoint) -> None:
        """Start saving a checkpoint that is never deleted, in a folder of its own; wait where too many are waiting."""
        while len(self._keeping) >= _MOST_WAITING:
            self._keeping.popleft().result()
        self._keeping.append(self._thread.submit(save_checkpoint, folder, checkpoint))

    def wait(self) -> None:
        """Wait until everything so far is saved. Raises `RunError` where it could not be."""
        while self._keeping:
            self._keeping.popleft().result()
        if self._writing is not None:
            self._finish_writing()

    def __enter__(self) -> CheckpointSaver:
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread; what it was given is still saved."""
        self._thread.shutdown()

    def _finish_writing(self) -> None:
        assert self._writing is not None
        writing, self._writing = self._writing, None
        self._cadence.restart(writing.result())

    def _write(self, best: Checkpoint | None, newest: Checkpoint, kept: int | None, copy_seconds: float) -> float:
        """Save, delete what is no longer kept, and return the seconds that all of it took."""
        started = time.monotonic()
        if best is not None and best.position != newest.position:
            save_checkpoint(self.folder, best)
        save_checkpoint(self.folder, newest)
        self._prune(kept)
        return copy_seconds + time.monotonic() - started

    def _prune(self, best: int | None) -> None:
        """Delete older ones but for the best; one that cannot be deleted stays."""
        for path in checkpoint_files(self.folder)[_NEWEST_KEPT:]:
            if iteration_of(path) != best:
                with suppress(OSError):
                    path.unlink()
