"""Records a training as it runs: in a run folder's history, or in memory where there is no folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.record.history import History
from epochal.record.rows import EpochRow, EvaluationRow, EventRow, SessionRow
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Start
from epochal.run.pacing import RateLimiter
from epochal.run.point import Point

_COMMIT_SECONDS, _COMMITS_TO_COST = 1.0, 100.0


@runtime_checkable
class Writer(Protocol):
    """Where rows go: `HistoryWriter`, or `MemoryWriter`."""

    def start_session(self, iteration: int) -> None:
        """Begin this process's row."""

    def update_session(self, iteration: int, seconds: float, chunk_seconds: float, status: str) -> None:
        """Bring this process's row up to date."""

    def add_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Add a block of iterations' losses."""

    def add_epoch(self, row: EpochRow) -> None:
        """Add an epoch's row."""

    def add_evaluation(self, row: EvaluationRow) -> None:
        """Add an evaluation."""

    def add_noise(self, block: NoiseBlock) -> None:
        """Add what some iterations measured; nothing for none."""

    def add_gradient(self, gradient: LargeGradient) -> None:
        """Add the gradient of an evaluation."""

    def add_event(self, iteration: int, kind: str, **detail: Any) -> None:
        """Add an event with the present time."""

    def commit(self) -> None:
        """Make everything so far survive this process."""

    def roll_back(self, iteration: int) -> None:
        """Forget what was recorded after so many iterations."""


@dataclass(slots=True)
class MemoryWriter:
    """Keeps rows in memory."""

    losses: list[Float32[np.ndarray, " iterations"]] = field(default_factory=list)
    epochs: list[EpochRow] = field(default_factory=list)
    evaluations: list[EvaluationRow] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    noise: list[NoiseBlock] = field(default_factory=list)
    gradients: list[LargeGradient] = field(default_factory=list)

    def start_session(self, iteration: int) -> None:
        """Begin this process's row."""
        self.sessions.append(SessionRow(_now(), iteration, iteration, 0.0, 0.0, "running"))

    def update_session(self, iteration: int, seconds: float, chunk_seconds: float, status: str) -> None:
        """Bring this process's row up to date."""
        self.sessions[-1] = replace(
            self.sessions[-1], end_iteration=iteration, seconds=seconds, chunk_seconds=chunk_seconds, status=status
        )

    def add_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Add a block of iterations' losses."""
        self.losses.append(losses)

    def add_epoch(self, row: EpochRow) -> None:
        """Add an epoch's row."""
        self.epochs.append(row)

    def add_evaluation(self, row: EvaluationRow) -> None:
        """Add an evaluation."""
        self.evaluations.append(row)

    def add_noise(self, block: NoiseBlock) -> None:
        """Add what some iterations measured; nothing for none."""
        if len(block.sums):
            self.noise.append(block)

    def add_gradient(self, gradient: LargeGradient) -> None:
        """Add the gradient of an evaluation."""
        self.gradients.append(gradient)

    def add_event(self, iteration: int, kind: str, **detail: Any) -> None:
        """Add an event with the present time."""
        self.events.append(EventRow(_now(), iteration, kind, detail))

    def commit(self) -> None:
        """Do nothing: memory survives nothing."""

    def roll_back(self, iteration: int) -> None:
        """Do nothing: a training in memory always begins."""

    def history(self) -> History:
        """Return everything so far."""
        losses = np.concatenate([np.zeros(0, np.float32), *self.losses])
        return History(
            losses,
            losses.size,
            tuple(self.epochs),
            tuple(self.evaluations),
            tuple(self.sessions),
            tuple(self.events),
            tuple(self.noise),
            tuple(self.gradients),
        )


class Recorder(Callback):
    """Writes every loss, epoch, evaluation and event; commits now and then, at next to no cost."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._iteration = 0
        self._chunk_seconds = 0.0
        self._started: float | None = None
        self._commits = RateLimiter(_COMMIT_SECONDS, _COMMITS_TO_COST)

    def on_warning(self, message: str) -> None:
        """Record the warning."""
        self.writer.add_event(self._iteration, "warned", message=message)

    def on_start(self, start: Start) -> None:
        """Begin a session's row."""
        self._iteration, self._chunk_seconds = start.position.iteration, 0.0
        self._started = time.monotonic()
        self.writer.start_session(self._iteration)
        self.writer.commit()

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Record the losses, and what was measured beside them."""
        self.writer.add_losses(chunk.first, chunk.losses)
        if chunk.noise is not None:
            self.writer.add_noise(chunk.noise)
        self._iteration = chunk.position.iteration
        self._chunk_seconds += chunk.seconds

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Record the epoch and its evaluation, and an audit that failed."""
        for evaluation in (epoch.validation, epoch.evaluation):
            if evaluation is not None:
                self.writer.add_evaluation(evaluation)
        if epoch.gradient is not None:
            self.writer.add_gradient(epoch.gradient)
        self.writer.add_epoch(epoch.row)
        if not epoch.row.is_exact:
            self.writer.add_event(self._iteration, "audit failed", epoch=epoch.row.epoch)

    def on_point(self, point: Point) -> None:
        """Commit where that is due."""
        if self._commits.is_due():
            self.commit()

    def commit(self, status: str = "running") -> None:
        """Bring the session's row up to date and force everything to the disk."""
        started = time.monotonic()
        self._update_session(status)
        self.writer.commit()
        self._commits.restart(time.monotonic() - started)

    def on_end(self, end: End) -> None:
        """Record how it ended. An error on its way may be a full disk, so what was recorded before it is enough."""
        if end.failed:
            self._update_session(end.status)
            return
        self.writer.add_event(self._iteration, end.status)
        self.commit(end.status)

    def _update_session(self, status: str) -> None:
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        self.writer.update_session(self._iteration, seconds, self._chunk_seconds, status)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
