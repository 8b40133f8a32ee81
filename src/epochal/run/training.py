"""The host loop: asks the engine for chunks of iterations, advances the position, keeps the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from epochal.clock import Position, Span
from epochal.engine import CAPACITY, Chunked, ExpectedAudit, State
from epochal.errors import RunError
from epochal.run.checkpoint import Checkpoint, EpochSoFar, save_checkpoint
from epochal.run.events import Ended, EpochEnded, EpochRow, Listener, Progressed, Started
from epochal.run.folder import RunFolder
from epochal.run.history import EvaluationRow, HistoryWriter
from epochal.run.setup import Setup

_CHUNK_SECONDS = 0.2
_COMMIT_SECONDS = 1.0


@dataclass(slots=True)
class Training:
    """One process's work on a run, from a checkpoint or from the beginning to the end of the budget.

    Attributes:
        should_stop: asked after each chunk; a true answer ends the training there.
    """

    setup: Setup
    folder: RunFolder
    history: HistoryWriter
    listener: Listener
    should_stop: Callable[[], bool]
    state: State
    position: Position = field(default_factory=Position)
    so_far: EpochSoFar = field(default_factory=EpochSoFar)
    _expected: ExpectedAudit = field(init=False)
    _chunk_length: int = field(default=8, init=False)
    _chunk_seconds: float = field(default=0.0, init=False)
    _first_iteration: int = field(default=0, init=False)
    _started: float = field(default=0.0, init=False)
    _committed: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Train until the budget is spent or a stop is asked for; then evaluate and save."""
        self._begin()
        plan = self.setup.plan
        status = "finished"
        while self.position < plan.end:
            if self.should_stop():
                status = "stopped"
                break
            self._train_chunk()
            if self.position.offset == 0:
                self._end_epoch(self.position.epoch, complete=True)
                self.so_far = EpochSoFar()
            self._commit_at_times()
        self._end(status)

    def _begin(self) -> None:
        setup = self.setup
        self._expected = ExpectedAudit.of(setup.engine.order)
        setup.engine.prepare(self.state, setup.plan.next_batch_size(self.position))
        self._first_iteration = self.position.iteration
        self._started = self._committed = time.monotonic()
        self.history.start_session(self.position.iteration)
        self.history.commit()
        self.listener(Started(self.position, setup.plan, setup.engine.compile_seconds))

    def _train_chunk(self) -> None:
        """Run some iterations of one batch size, inside the epoch and the budget; then advance, once, in this place."""
        plan, engine = self.setup.plan, self.setup.engine
        batch_size = plan.next_batch_size(self.position)
        full_batches = (plan.samples - self.position.offset) // batch_size
        left = (plan.end - self.position).amount
        count = min(self._chunk_length, full_batches, left)
        self.state, chunk = engine.run(self.state, self.position, batch_size, count)
        self.history.add_losses(self.position.iteration, chunk.losses)
        self.so_far = self.so_far.add(chunk.losses, batch_size, chunk.seconds, chunk.audit)
        self.position = plan.advance(self.position, Span.iterations(count))
        self._report(chunk, count)

    def _report(self, chunk: Chunked, count: int) -> None:
        self._chunk_seconds += chunk.seconds
        self._chunk_length = next_chunk_length(self._chunk_length, count, chunk.seconds)
        done = self.position.iteration - self._first_iteration
        self.listener(Progressed(self.position, float(np.mean(chunk.losses)), self._chunk_seconds, done))

    def _end_epoch(self, epoch: int, *, complete: bool) -> None:
        """Compare the epoch's audit with what it had to be, evaluate where that is due, and write the epoch's row."""
        used = self.setup.plan.samples_per_epoch if complete else self.position.offset
        expected = self._expected.after(epoch - 1, used)
        audit = self.so_far.audit
        finished = self.position >= self.setup.plan.end
        test = self._evaluate() if finished or epoch % self.setup.config.evaluate_every == 0 else None
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
            self.history.commit()
            raise RunError(
                f"epoch {epoch} used {row.samples} samples with hash {row.audit_hash}; "
                f"{row.expected_samples} with hash {row.expected_hash} were due: a bug in Epochal, please report it"
            )

    def _evaluate(self) -> EvaluationRow | None:
        test = self.setup.data.test
        if not len(test):
            return None
        evaluation = self.setup.engine.evaluate(self.state, test)
        row = EvaluationRow(self.position.iteration, "test", evaluation.samples, evaluation.loss, evaluation.accuracy)
        self.history.add_evaluation(row)
        return row

    def _commit_at_times(self) -> None:
        now = time.monotonic()
        if now - self._committed >= _COMMIT_SECONDS:
            self._update_session("running")
            self.history.commit()
            self._committed = now

    def _end(self, status: str) -> None:
        if self.position.offset and status == "finished":
            self._end_epoch(self.position.epoch + 1, complete=False)
        save_checkpoint(self.folder.checkpoints, Checkpoint.of(self.state, self.position, self.so_far))
        self._update_session(status)
        self.history.add_event(self.position.iteration, status)
        self.history.commit()
        self.listener(Ended(self.position, status))

    def _update_session(self, status: str) -> None:
        seconds = time.monotonic() - self._started
        self.history.update_session(self.position.iteration, seconds, self._chunk_seconds, status)


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
