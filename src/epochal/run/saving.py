"""When checkpoints are saved, and which are kept: in the background, at a cadence that costs next to nothing."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from epochal.run.checkpoint import Checkpoint, checkpoint_files, iteration_of, save_checkpoint

_SHORTEST_INTERVAL = 2.0
_INTERVALS_TO_COST = 50.0
_NEWEST_KEPT = 3


@dataclass(slots=True)
class CheckpointSaver:
    """Saves checkpoints in a thread of its own, keeps the newest three and the best one.

    Attributes:
        folder: where they go.
        every: seconds between them; ``None`` adapts: 50 times what one costs, and at least 2 seconds, so that they
            take at most 2 % of the time.
    """

    folder: Path
    every: float | None = None
    best: int | None = None
    _pending_best: Checkpoint | None = field(default=None, init=False)
    _writing: Future[float] | None = field(default=None, init=False)
    _keeping: list[Future[Path]] = field(default_factory=list, init=False)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="checkpoint"), init=False
    )
    _interval: float = field(default=_SHORTEST_INTERVAL, init=False)
    _last: float = field(default_factory=time.monotonic, init=False)

    def is_due(self) -> bool:
        """Return whether it is time for the next. Raises `RunError` where the one before could not be saved."""
        if self._writing is not None and self._writing.done():
            self._finish_writing()
        interval = self._interval if self.every is None else self.every
        return self._writing is None and time.monotonic() - self._last >= interval

    def offer_best(self, checkpoint: Checkpoint) -> None:
        """Remember the best so far, to be saved with the next."""
        self._pending_best = checkpoint
        self.best = checkpoint.position.iteration

    def save(self, checkpoint: Checkpoint, copy_seconds: float = 0.0) -> None:
        """Start saving; the history must already hold what came before it."""
        self.wait()
        self._last = time.monotonic()
        best, self._pending_best = self._pending_best, None
        self._writing = self._thread.submit(self._write, best, checkpoint, copy_seconds)

    def keep(self, folder: Path, checkpoint: Checkpoint) -> None:
        """Start saving a checkpoint that is never deleted, in a folder of its own."""
        self._keeping.append(self._thread.submit(save_checkpoint, folder, checkpoint))

    def wait(self) -> None:
        """Wait until everything so far is saved. Raises `RunError` where it could not be."""
        while self._keeping:
            self._keeping.pop().result()
        if self._writing is not None:
            self._finish_writing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread; what it was given is still saved."""
        self._thread.shutdown()

    def _finish_writing(self) -> None:
        assert self._writing is not None
        writing, self._writing = self._writing, None
        self._interval = max(_SHORTEST_INTERVAL, _INTERVALS_TO_COST * writing.result())

    def _write(self, best: Checkpoint | None, newest: Checkpoint, copy_seconds: float) -> float:
        """Save, delete what is no longer kept, and return the seconds that all of it took."""
        started = time.monotonic()
        if best is not None and best.position != newest.position:
            save_checkpoint(self.folder, best)
        save_checkpoint(self.folder, newest)
        self._prune(newest.position.iteration)
        return copy_seconds + time.monotonic() - started

    def _prune(self, newest: int) -> None:
        """Delete older ones; ones of a later position belong to a past that was rolled back."""
        files = checkpoint_files(self.folder)
        past = [path for path in files if iteration_of(path) <= newest]
        kept = {*past[:_NEWEST_KEPT], *(path for path in past if iteration_of(path) == self.best)}
        for path in files:
            if path not in kept:
                path.unlink(missing_ok=True)
