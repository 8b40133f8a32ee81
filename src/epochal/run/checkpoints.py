"""Checkpoints and snapshots: when they are saved, and which are kept; in the background, at next to no cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epochal.clock import Position
from epochal.errors import RunError
from epochal.held_folder import HeldFolder
from epochal.record.checkpoint_file import Checkpoint, checkpoint_names, iteration_of, save_checkpoint
from epochal.record.folder import CHECKPOINTS, SNAPSHOTS, no_longer_there
from epochal.record.rows import EvaluationRow
from epochal.run.callbacks import Callback, End, EpochEnd, Start
from epochal.run.divergence import Divergence
from epochal.run.pacing import RateLimiter
from epochal.run.point import Point
from epochal.run.recorder import Recorder

_NEWEST_KEPT = 3
_LOOK_SECONDS = 0.5
_MOST_WAITING = 8
_SHORTEST_INTERVAL = 2.0
_INTERVAL_TO_COST = 50.0

Origin = Callable[[int], Mapping[str, Any]]
"""What decided the state after so many iterations (`RunFile.origin`)."""


@dataclass(slots=True)
class CheckpointSaver:
    """Saves checkpoints in a thread of its own, keeps the newest three and the best one.

    Attributes:
        folder: the run's, held open.
        every: seconds between them; ``None`` adapts: 50 times what one costs, and at least 2 seconds, so that they
            take at most 2 % of the time.
        best: the iteration of the best one so far.
    """

    folder: HeldFolder
    every: float | None = None
    best: int | None = None
    _pending_best: Checkpoint | None = field(default=None, init=False)
    _writing: Future[float] | None = field(default=None, init=False)
    _keeping: deque[Future[Path]] = field(default_factory=deque, init=False)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="checkpoint"), init=False
    )
    _limiter: RateLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.set_interval(self.every)

    def set_interval(self, every: float | None) -> None:
        """Save every so many seconds from now on; ``None`` adapts."""
        self.every = every
        self._limiter = RateLimiter(_SHORTEST_INTERVAL, _INTERVAL_TO_COST) if every is None else RateLimiter(every, 0.0)

    def is_due(self) -> bool:
        """Return whether it is time for the next. Raises `RunError` where the one before could not be saved."""
        if self._writing is not None and self._writing.done():
            self._finish_writing()
        return self._writing is None and self._limiter.is_due()

    def offer_best(self, checkpoint: Checkpoint) -> None:
        """Remember the best so far, to be saved with the next."""
        self._pending_best = checkpoint
        self.best = checkpoint.position.iteration

    def save(self, checkpoint: Checkpoint, copy_seconds: float = 0.0) -> None:
        """Start saving; the history must already hold what came before it."""
        self.wait()
        self._limiter.restart()
        best, self._pending_best = self._pending_best, None
        self._writing = self._thread.submit(self._write, best, checkpoint, self.best, copy_seconds)

    def keep(self, name: str, checkpoint: Checkpoint) -> None:
        """Start saving a checkpoint that is never deleted, in a folder of its own; wait where too many are waiting."""
        while len(self._keeping) >= _MOST_WAITING:
            self._keeping.popleft().result()
        self._keeping.append(self._thread.submit(save_checkpoint, self.folder, name, checkpoint))

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
        self._limiter.restart(writing.result())

    def _write(self, best: Checkpoint | None, newest: Checkpoint, kept: int | None, copy_seconds: float) -> float:
        """Save, delete what is no longer kept, and return the seconds that all of it took."""
        started = time.monotonic()
        if best is not None and best.position != newest.position:
            save_checkpoint(self.folder, CHECKPOINTS, best)
        save_checkpoint(self.folder, CHECKPOINTS, newest)
        self._prune(kept)
        return copy_seconds + time.monotonic() - started

    def _prune(self, best: int | None) -> None:
        """Delete older ones but for the best; one that cannot be deleted stays."""
        with suppress(OSError), self.folder.inside(CHECKPOINTS) as folder:
            for name in checkpoint_names(folder)[_NEWEST_KEPT:]:
                if iteration_of(name) != best:
                    folder.remove(name)


class Checkpoints(Callback):
    """Saves where training stands, now and then and at its end, and the point of the best validation.

    The history up to a point is on the disk before the point is, so that it is never behind.

    Args:
        saver: saves in the background.
        recorder: whose history is committed first.
        origin: what the checkpoints are made with.
        best: the best validation so far.
        divergence: ends the training where weights are not finite; ``None`` saves them as they are.
    """

    def __init__(
        self,
        saver: CheckpointSaver,
        recorder: Recorder,
        origin: Origin,
        best: EvaluationRow | None,
        divergence: Divergence | None,
    ) -> None:
        self.best = best
        self._saver, self._recorder, self._origin, self._divergence = saver, recorder, origin, divergence
        self._is_best = False
        self._looks = RateLimiter(_LOOK_SECONDS, 0.0)
        saver.best = None if best is None else best.iteration

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Compare the validation with the best one so far; the test set selects nothing."""
        row = epoch.validation
        if row is not None and (self.best is None or row.sort_key() < self.best.sort_key()):
            self.best, self._is_best = row, True

    def on_point(self, point: Point) -> None:
        """Remember the best point, and save where that is due."""
        self._offer_best(point)
        if self._looks.is_due():
            self._looks.restart()
            self._check_place(point)
        if self._saver.is_due():
            self._save(point)

    def on_end(self, end: End) -> None:
        """Save the last point and wait until it is on the disk."""
        if end.failed:
            return
        self._offer_best(end.point)
        self._save(end.point)
        self._saver.wait()
        self._check_place(end.point)

    def _check_place(self, point: Point) -> None:
        """Raise `RunError` where somebody moved or removed the folder; where it was moved to, the point is saved."""
        folder = self._saver.folder
        if folder.is_in_place():
            return
        with suppress(RunError):
            self._save(point)
            self._saver.wait()
        raise no_longer_there(folder)

    def _offer_best(self, point: Point) -> None:
        if self._is_best:
            self._saver.offer_best(self._checkpoint(point))
            self._is_best = False

    def _save(self, point: Point) -> None:
        started = time.monotonic()
        checkpoint = self._checkpoint(point)
        if self._divergence is not None and not checkpoint.is_finite():
            raise self._divergence.error("the weights are not finite", point.position.iteration)
        copy_seconds = time.monotonic() - started

        self._recorder.commit()  # first the history, then the checkpoint
        self._saver.save(checkpoint, copy_seconds)

    def _checkpoint(self, point: Point) -> Checkpoint:
        return point.checkpoint(self._origin(point.position.iteration))


class Snapshots(Callback):
    """Keeps the weights at iterations 0, 1, 2, 4, 8 … of the first epoch, at epochs' ends, and at the end."""

    def __init__(self, saver: CheckpointSaver, origin: Origin) -> None:
        self._saver, self._origin = saver, origin
        self._kept: int | None = None

    def next_stop(self, position: Position) -> int | None:
        """Return the next power of two, within the first epoch."""
        return None if position.epoch else 1 << position.iteration.bit_length()

    def on_start(self, start: Start) -> None:
        """Keep where it begins."""
        self.on_point(start.point)

    def on_point(self, point: Point) -> None:
        """Keep the weights where that is due."""
        position = point.position
        early = position.epoch == 0 and position.iteration & (position.iteration - 1) == 0
        if early or (position.offset == 0 and is_kept_epoch(position.epoch)):
            self._keep(point)

    def on_end(self, end: End) -> None:
        """Keep the last weights."""
        if not end.failed:
            self._keep(end.point)

    def _keep(self, point: Point) -> None:
        iteration = point.position.iteration
        if iteration != self._kept:
            self._kept = iteration
            self._saver.keep(SNAPSHOTS, point.checkpoint(self._origin(iteration)).weights)


def is_kept_epoch(epoch: int) -> bool:
    """Return whether the weights at this epoch's end are a snapshot: all of the first 128, then 64 in each doubling.

    An epoch of full-batch descent is a single iteration, so that long trainings would fill the disk.

    >>> sum(map(is_kept_epoch, range(128))), sum(map(is_kept_epoch, range(128, 256))), is_kept_epoch(10_000)
    (128, 64, False)
    """
    return epoch % (1 << max(0, epoch.bit_length() - 7)) == 0
