"""What is told of a training while it runs, and may end it: one protocol for the built-in and the user's own.

A callback is called between chunks of iterations, so that the compiled loop never waits for it. Callbacks begin in the
order of their list, and end in the reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from epochal.clock import Plan, Position, Span, Unit
from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.record.run_toml import RunFile
from epochal.run.point import Point


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Training begins, or continues, at ``point``.

    Attributes:
        file: what `run.toml` holds: the whole configuration, data, model, versions, device.
        folder: the run's; ``None`` where there is none.
        warn: tells everybody, the history included, what the user should know and that does not stop the training.
    """

    point: Point
    plan: Plan
    compile_seconds: float
    file: RunFile
    folder: Path | None
    warn: Callable[[str], object]

    @property
    def position(self) -> Position:
        """Where it begins."""
        return self.point.position


@dataclass(frozen=True, slots=True, eq=False)
class ChunkEnd:
    """Some iterations are done, all of one batch size and one epoch.

    Attributes:
        position: after them.
        losses: each iteration's: the mean over its batch before its update.
        batch_size: samples of each.
        seconds: that they took.
        noise: what was measured of the gradients' noise, where that is wanted.
    """

    position: Position
    losses: Float32[np.ndarray, " iterations"]
    batch_size: int
    seconds: float
    noise: NoiseBlock | None = None

    @property
    def first(self) -> int:
        """Iterations done before this chunk."""
        return self.position.iteration - self.losses.size


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch is complete, or the budget ended inside it.

    Attributes:
        evaluation: the test set's, where it was due.
        validation: the validation set's, likewise, where there is one.
        gradient: of many training samples at once, likewise, where the gradients' noise is measured.
    """

    position: Position
    row: EpochRow
    evaluation: EvaluationRow | None
    validation: EvaluationRow | None = None
    gradient: LargeGradient | None = None


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """Training is over, or was stopped.

    Attributes:
        point: where it stands.
        status: finished or stopped, or changed where it continues with other options; or diverged, interrupted or
            failed, where an error is on its way.
    """

    point: Point
    status: str

    @property
    def position(self) -> Position:
        """Where it stands."""
        return self.point.position

    @property
    def failed(self) -> bool:
        """Whether an error ended the training."""
        return self.status in ("diverged", "interrupted", "failed")


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should know and that does not stop the training."""

    message: str


@dataclass(frozen=True, slots=True)
class Grown:
    """An adaptive batch grows.

    Attributes:
        position: from which on.
        before, batch_size: its samples until then, and from then on.
        noise_scale: that of the gradients, in samples, which was measured; infinite where noise hides it.
    """

    position: Position
    before: int
    batch_size: int
    noise_scale: float


class Callback:
    """Follows a training; this one does nothing. Override what you need.

    >>> class Losses(Callback):
    ...     def on_chunk(self, chunk: ChunkEnd) -> None:
    ...         print(chunk.first, chunk.losses)
    """

    should_stop: bool = False
    """Asked before each chunk: set it, and the training stops there."""

    is_change: bool = False
    """Whether it stops the training so that it goes on with other options."""

    stop_status: int = 1
    """Why it stops: 128 and the number of a signal, or else 1."""

    def stop_with(self, status: int) -> None:
        """Note that all processes of a training stop together here, for what one of them said by its `stop_status`."""

    def next_stop(self, position: Position) -> int | None:
        """Return the next iteration after ``position`` at which a chunk has to end; ``None`` where any will do."""

    def on_warning(self, message: str) -> None:
        """Note something that the user should know and that does not stop the training."""

    def on_start(self, start: Start) -> None:
        """Note that training begins, or continues."""

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Note what some iterations did."""

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Note what an epoch did."""

    def on_growth(self, growth: Grown) -> None:
        """Note that an adaptive batch grows."""

    def on_point(self, point: Point) -> None:
        """Note where training stands after a chunk, and after the epoch that may have ended with it.

        The state's arrays are used up by the next chunk: copy what you keep.
        """

    def on_end(self, end: End) -> None:
        """Note that training is over."""


@dataclass(slots=True)
class Callbacks:
    """Several callbacks as one.

    Args:
        recording: what keeps the training.
        told: the caller's.
    """

    recording: tuple[Callback, ...]
    told: tuple[Callback, ...] = ()
    _running: list[Callback] = field(default_factory=list, init=False)

    @classmethod
    def of(cls, *recording: Callback | None, told: Iterable[Callback] = ()) -> Callbacks:
        """Return these, without those that are ``None``."""
        return cls(tuple(member for member in recording if member is not None), tuple(told))

    @property
    def members(self) -> tuple[Callback, ...]:
        """All of them, in the order in which they are told."""
        return (*self.recording, *self.told)

    def stop_status(self) -> int:
        """Return 0, or the highest status of those that want the training to stop."""
        return max([member.stop_status if member.should_stop else 0 for member in self.members], default=0)

    def stop_with(self, status: int) -> None:
        """Tell all of them why all processes stop."""
        self._tell(lambda member: member.stop_with(status))

    def is_change(self) -> bool:
        """Return whether one of them stops the training so that it goes on with other options."""
        return any(member.is_change for member in self.members)

    def next_stop(self, position: Position) -> int | None:
        """Return the nearest iteration at which one of them wants a chunk to end."""
        stops = (member.next_stop(position) for member in self.members)
        return min((stop for stop in stops if stop is not None), default=None)

    def warn(self, message: str) -> None:
        """Tell all of them what the user should know."""
        self._tell(lambda member: member.on_warning(message))

    def start(self, start: Start) -> None:
        """Begin, in order."""
        for member in self.members:
            self._running.append(member)
            member.on_start(start)

    def chunk(self, chunk: ChunkEnd) -> None:
        """Tell all of them of a chunk."""
        self._tell(lambda member: member.on_chunk(chunk))

    def epoch(self, epoch: EpochEnd) -> None:
        """Tell all of them of an epoch."""
        self._tell(lambda member: member.on_epoch(epoch))

    def point(self, point: Point) -> None:
        """Tell all of them where training stands."""
        self._tell(lambda member: member.on_point(point))

    def growth(self, growth: Grown) -> None:
        """Tell all of them that an adaptive batch grows."""
        self._tell(lambda member: member.on_growth(growth))

    def end(self, end: End) -> None:
        """End, in reverse order; each one once, also where another one fails.

        An error of the caller's callbacks waits until the others have ended: it must not cost the last point.
        """
        errors = []
        while self._running:
            member = self._running.pop()
            try:
                member.on_end(end)
            except BaseException as error:
                if member not in self.told:
                    raise
                errors.append(error)
        if errors:
            raise errors[0]

    def fail(self, end: End) -> None:
        """End those that have not ended yet; what they cannot do any more is no second error."""
        while self._running:
            with suppress(Exception):
                self._running.pop().on_end(end)

    def _tell(self, call: Callable[[Callback], None]) -> None:
        for member in self.members:
            call(member)


class StopWhen(Callback):
    """Stops the training when ``question()`` is answered yes; it is asked before each chunk.

    Args:
        question: asked.
        status: says why, as `Callback.stop_status`.
        told: called with the status where all processes stop together.
    """

    def __init__(
        self,
        question: Callable[[], bool],
        status: Callable[[], int] = lambda: 1,
        told: Callable[[int], object] = lambda status: None,
    ) -> None:
        self._question, self._status, self._told = question, status, told

    @property
    def stop_status(self) -> int:  # type: ignore[override]
        """Why."""
        return self._status()

    def stop_with(self, status: int) -> None:
        """Hand it on."""
        self._told(status)

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        """Whether it is time."""
        return self._question()


class Listener(Callback):
    """Hands all that it is told to one function: `Start`, `ChunkEnd`, `EpochEnd`, `Grown`, `End` and `Warned`."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function

    def on_warning(self, message: str) -> None:
        """Hand it on."""
        self._function(Warned(message))

    def on_start(self, start: Start) -> None:
        """Hand it on."""
        self._function(start)

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Hand it on."""
        self._function(chunk)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Hand it on."""
        self._function(epoch)

    def on_growth(self, growth: Grown) -> None:
        """Hand it on."""
        self._function(growth)

    def on_end(self, end: End) -> None:
        """Hand it on."""
        self._function(end)


class EarlyStop(Callback):
    """Stops the training when a test metric has not become better for ``patience`` evaluations.

    Args:
        patience: evaluations to wait for a better value, at least 1.
        metric: its name, such as ``loss`` or ``accuracy``.
        higher_is_better: whether larger values are better; by default for every metric but ``loss`` and errors.
    """

    def __init__(self, patience: int = 3, metric: str = "loss", *, higher_is_better: bool | None = None) -> None:
        falls = metric in ("loss", "log-loss", "mse", "rmse", "mae")
        self._sign = 1.0 if (not falls if higher_is_better is None else higher_is_better) else -1.0
        self._metric, self._patience = metric, patience
        self._best: float | None = None
        self._waited = 0

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Compare the evaluation with the best one so far."""
        if epoch.evaluation is None or self._metric not in epoch.evaluation.metrics:
            return
        value = self._sign * epoch.evaluation.metrics[self._metric]
        if self._best is None or value > self._best:
            self._best, self._waited = value, 0
        else:
            self._waited += 1  # a value that is no number is never better
            self.should_stop = self._waited >= self._patience


class Patience(Callback):
    """Stops the training when its validation has not become better for so long, in exact units.

    Args:
        plan: of the training, which knows how long an epoch is.
        patience: epochs, iterations or samples to wait for a better value.
        best: the best validation so far, of a training that continues.
        tell: told why the training stops.
    """

    def __init__(self, plan: Plan, patience: Span, best: EvaluationRow | None, tell: Callable[[str], object]) -> None:
        self._patience, self._best, self._tell = patience, best, tell
        self._plan = plan

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Compare the validation with the best one so far."""
        row = epoch.validation
        if row is None:
            return
        if self._best is None or row.sort_key() < self._best.sort_key():
            self._best = row
            return

        since = self._best.iteration
        if row.iteration - since >= updates_in(self._patience, self._plan, since) and not self.should_stop:
            self.should_stop = True
            self._tell(f"no better validation for {self._patience}: the best is that of iteration "
                       f"{self._best.iteration:,}")  # fmt: skip


def updates_in(span: Span, plan: Plan, since: int = 0) -> int:
    """Return how many updates of a plan, after so many, a length is, rounded up to whole ones."""
    if span.unit is Unit.ITERATIONS:
        return span.amount
    if not plan.is_schedule:
        in_epochs = span.unit is Unit.EPOCHS
        return span.amount * plan.iterations_per_epoch if in_epochs else -(-span.amount // plan.batch_size)

    start = plan.position(iteration=since)
    if span.unit is Unit.EPOCHS:
        return plan.iterations_until(Span.epochs(start.epoch + span.amount), start)
    return plan.iterations_until(Span.samples(plan.samples_after(iterations=since) + span.amount), start)


def followers(
    callbacks: Callback | Iterable[Callback] | None = None,
    listener: Callable[[Any], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Callback, ...]:
    """Return as callbacks what a caller gave: one, several or none, a function that listens, and one that is asked."""
    given = (callbacks,) if isinstance(callbacks, Callback) else tuple(callbacks or ())
    listening = () if listener is None else (Listener(listener),)
    return (*given, *listening, *(() if should_stop is None else (StopWhen(should_stop),)))
