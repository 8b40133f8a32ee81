"""The host loop: asks the engine for chunks of iterations, advances the position, keeps history and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from epochal.clock import Position, Span
from epochal.engine import CAPACITY, ChunkResult, ExpectedAudit, State
from epochal.errors import DivergedError, RunError
from epochal.record.checkpoint import Checkpoint, EpochSoFar, checkpoint_files, iteration_of
from epochal.record.events import Ended, EpochEnded, EpochRow, Listener, Progressed, Started
from epochal.record.folder import RunFile, RunFolder
from epochal.record.history import EvaluationRow
from epochal.record.writer import HistoryWriter
from epochal.run.saving import Cadence, CheckpointSaver
from epochal.run.setup import Setup

_CHUNK_SECONDS = 0.2
_COMMIT_SECONDS, _COMMITS_TO_COST = 1.0, 100.0


@dataclass(slots=True)
class Training:
    """One process's work on a run under one configuration, from a position to the end of its budget.

    Attributes:
        file: what `run.toml` holds, for checkpoints to carry.
        should_stop: asked after each chunk; a true answer ends the training there.
        stop_at: the iteration before the budget's end at which it stops, if it does.
        stop_as: the status that it then returns: ``stopped``, or ``changed`` to go on under another configuration.
    """

    setup: Setup
    file: RunFile
    folder: RunFolder
    history: HistoryWriter
    saver: CheckpointSaver
    listener: Listener
    should_stop: Callable[[], bool]
    state: State
    position: Position
    so_far: EpochSoFar
    stop_at: int | None = None
    stop_as: str = "stopped"
    best: EvaluationRow | None = None
    _expected: ExpectedAudit = field(init=False)
    _chunk_length: int = field(default=8, init=False)
    _chunk_seconds: float = field(default=0.0, init=False)
    _first_iteration: int = field(default=0, init=False)
    _offset_reached: int = field(default=0, init=False)
    _snapshot_at: int | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _commits: Cadence = field(default_factory=lambda: Cadence(_COMMIT_SECONDS, _COMMITS_TO_COST), init=False)

    def run(self) -> str:
        """Train; return ``finished`` at the budget's end, ``stopped`` where asked to, or ``stop_as`` at ``stop_at``."""
        self._begin()
        try:
            status = self._loop()
            self._end(status)
        except BaseException as error:
            with suppress(RunError):  # the disk may be full, which is then the error on its way
                self._update_session(_status_of(error))
            raise
        return status

    def _loop(self) -> str:
        while left := self._left():
            if self.should_stop():
                return "stopped"
            self._train_chunk(left)
            if self.position.offset == 0:
                self._end_epoch(self.position.epoch, complete=True)
            self._save_at_times()
        return "finished" if self._is_finished() else self.stop_as

    def _begin(self) -> None:
        setup = self.setup
        self._expected = ExpectedAudit.of(setup.engine.order)
        setup.engine.prepare(self.state, setup.plan.next_batch_size(self.position))
        self._first_iteration = self.position.iteration
        self._offset_reached = self.position.offset
        self._started = time.monotonic()
        self.history.start_session(self.position.iteration)
        self.history.commit()
        self._keep_snapshot()
        self.listener(Started(self.position, setup.plan, setup.engine.compile_seconds))

    def _left(self) -> int:
        """Count the iterations to the end of the budget, or to ``stop_at``."""
        left = self.setup.plan.remaining(self.position).amount
        return left if self.stop_at is None else min(left, self.stop_at - self.position.iteration)

    def _is_finished(self) -> bool:
        return self.setup.plan.remaining(self.position).amount == 0

    def _train_chunk(self, left: int) -> None:
        """Run some iterations of one batch size, inside the epoch and the budget; then advance, once, in this place."""
        plan, engine = self.setup.plan, self.setup.engine
        batch_size = plan.next_batch_size(self.position)
        full_batches = (plan.samples - self.position.offset) // batch_size
        count = min(self._chunk_length, full_batches, left, self._to_snapshot())
        self.state, chunk = engine.run(self.state, self.position, batch_size, count)
        self.history.add_losses(self.position.iteration, chunk.losses)
        self.so_far = self.so_far.add(chunk.losses, batch_size, chunk.seconds, chunk.audit)
        self._check_finite(chunk)
        self._offset_reached = self.position.offset + count * batch_size
        self.position = plan.advance(self.position, Span.iterations(count))
        self._report(chunk, count)

    def _report(self, chunk: ChunkResult, count: int) -> None:
        self._chunk_seconds += chunk.seconds
        self._chunk_length = next_chunk_length(self._chunk_length, count, chunk.seconds)
        done = self.position.iteration - self._first_iteration
        self.listener(Progressed(self.position, float(np.mean(chunk.losses)), self._chunk_seconds, done))

    def _end_epoch(self, epoch: int, *, complete: bool) -> None:
        """Compare the epoch's audit with what it had to be, evaluate where that is due, and write the epoch's row."""
        audit = self.so_far.audit
        expected = self._expected.after(epoch - 1, self._offset_reached)
        due = self._is_finished() or epoch % self.setup.config.evaluate_every == 0
        test = self._evaluate() if due else None
        row = EpochRow(
            epoch=epoch,
            end_iteration=self.position.iteration,
            iterations=self.so_far.iterations,
            samples=audit.samples,
            expected_samples=expected.samples,
            complete=complete,
            train_loss=self.so_far.train_loss,
            test_loss=test.loss if test else None,
            test_accuracy=test.accuracy if test else None,
            seconds=self.so_far.seconds,
            audit_hash=audit.hash,
            expected_hash=expected.hash,
        )
        self.history.add_epoch(row)
        self.listener(EpochEnded(self.position, row))
        if not row.is_exact:
            self.history.add_event(self.position.iteration, "audit failed", epoch=epoch)
            raise RunError(
                f"epoch {epoch} used {row.samples} samples with hash {row.audit_hash}; "
                f"{row.expected_samples} with hash {row.expected_hash} were due: a bug in Epochal, please report it"
            )
        if complete:
            self.so_far = EpochSoFar()
        if test is not None and (self.best is None or test.badness() < self.best.badness()):
            self.best = test
            self.saver.offer_best(self._checkpoint())

    def _evaluate(self) -> EvaluationRow | None:
        test = self.setup.data.test
        if not len(test):
            return None
        evaluation = self.setup.engine.evaluate(self.state, test)
        row = EvaluationRow(self.position.iteration, "test", evaluation.samples, evaluation.loss, evaluation.accuracy)
        self.history.add_evaluation(row)
        return row

    def _save_at_times(self) -> None:
        self._keep_snapshot()
        if self.saver.is_due():
            self._save()
        elif self._commits.is_due():
            self._commit("running")

    def _save(self) -> None:
        """Start saving a checkpoint. The history up to it is on the disk first, so that it is never behind."""
        started = time.monotonic()
        checkpoint = self._checkpoint()
        if not checkpoint.is_finite() and self.setup.config.on_nan == "stop":
            raise self._diverged("the weights are not finite", self.position.iteration)
        copy_seconds = time.monotonic() - started
        self._commit("running")
        self.saver.save(checkpoint, copy_seconds)

    def _commit(self, status: str) -> None:
        started = time.monotonic()
        self._update_session(status)
        self.history.commit()
        self._commits.restart(time.monotonic() - started)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint.of(self.state, self.position, self.so_far, self.file.origin(self.position.iteration))

    def _end(self, status: str) -> None:
        if self.position.offset and status == "finished":
            self._end_epoch(self.position.epoch + 1, complete=False)
        self._keep_snapshot(at_end=True)
        self._save()
        self.saver.wait()
        self.history.add_event(self.position.iteration, status)
        self._commit(status)
        self.listener(Ended(self.position, status))

    def _check_finite(self, chunk: ChunkResult) -> None:
        if self.setup.config.on_nan == "stop" and not np.isfinite(chunk.losses).all():
            first = int(np.argmin(np.isfinite(chunk.losses)))
            raise self._diverged(f"the loss is {chunk.losses[first]}", self.position.iteration + first + 1)

    def _diverged(self, what: str, iteration: int) -> DivergedError:
        """Record the divergence; return the error that says where the last good weights are and what helps."""
        self.saver.wait()
        self.history.add_event(iteration, "diverged", reason=what)
        files = checkpoint_files(self.folder.checkpoints)
        good = (
            f"the last good checkpoint is of iteration {iteration_of(files[0]):,}"
            if files
            else "there is no checkpoint yet"
        )
        rate = self.setup.config.lr or 0.0
        return DivergedError(
            f"{what} at iteration {iteration:,}; {good}. A smaller learning rate usually helps (it is "
            f"{rate:g}):\n  epochal resume {self.folder.path} --lr {rate / 3:.2g}"
            "   (or train anew with --warmup 1ep; --on-nan continue goes on regardless)"
        )

    def _keep_snapshot(self, *, at_end: bool = False) -> None:
        """Keep the weights where the configuration asks for it: at 0, 1, 2, 4 … in the first epoch, at epochs' ends."""
        iteration, epoch = self.position.iteration, self.position.epoch
        early = epoch == 0 and iteration & (iteration - 1) == 0
        is_due = early or (self.position.offset == 0 and is_kept_epoch(epoch)) or at_end
        if self.setup.config.snapshots and is_due and iteration != self._snapshot_at:
            self._snapshot_at = iteration
            self.saver.keep(self.folder.snapshots, self._checkpoint().weights)

    def _to_snapshot(self) -> int:
        """Count the iterations to the next snapshot inside the first epoch."""
        if not self.setup.config.snapshots or self.position.epoch:
            return CAPACITY
        return (1 << self.position.iteration.bit_length()) - self.position.iteration

    def _update_session(self, status: str) -> None:
        seconds = time.monotonic() - self._started
        self.history.update_session(self.position.iteration, seconds, self._chunk_seconds, status)


def _status_of(error: BaseException) -> str:
    if isinstance(error, DivergedError):
        return "diverged"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def is_kept_epoch(epoch: int) -> bool:
    """Return whether the weights at this epoch's end are a snapshot: all of the first 128, then 64 in each doubling.

    An epoch of full-batch descent is a single iteration, so that long trainings would fill the disk.

    >>> sum(map(is_kept_epoch, range(128))), sum(map(is_kept_epoch, range(128, 256))), is_kept_epoch(10_000)
    (128, 64, False)
    """
    return epoch % (1 << max(0, epoch.bit_length() - 7)) == 0


def next_chunk_length(length: int, count: int, seconds: float) -> int:
    """Return how many iterations the next chunk should have, so that it takes about a fifth of a second.

    It at most quadruples at a time, since the first chunks may be slower or faster than the rest.

    >>> next_chunk_length(8, 8, seconds=0.001), next_chunk_length(8, 8, seconds=4.0)
    (32, 1)
    """
    if count < length and seconds < _CHUNK_SECONDS:
        return length  # cut short by the end of an epoch: says too little
    fitting = int(count * _CHUNK_SECONDS / max(seconds, 1e-9))
    return max(1, min(fitting, 4 * length, CAPACITY))
