"""What a report shows, as plain frozen records: read by `gather`, drawn by the report room, tied to no file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from epochal.clock import Plan, Position, Span
from epochal.record.events import EpochRow
from epochal.record.folder import RunFile
from epochal.record.history import EvaluationRow, EventRow, SessionRow
from epochal.record.summary import Fact
from epochal.study.summary import Band

MAY_GO_ON = ("new", "running", "interrupted")
"""The statuses of a run that is not over."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a report leaves out or warns of.

    Attributes:
        key: the sentence's key in the report's message tables, ``notice.KEY``.
        values: what fills the sentence's gaps.
    """

    key: str
    values: dict[str, str | int]


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """A test sample that the model is wrong about.

    Attributes:
        index: its place in the test set, from 0.
        true, predicted: class numbers.
        confidence: the probability that the model gave to its answer, 0 to 1.
        image: uint8 ``(height, width)`` or ``(height, width, 3)``; ``None`` where samples are no images.
    """

    index: int
    true: int
    predicted: int
    confidence: float
    image: UInt8[np.ndarray, "height width *colours"] | None


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model answers on its test set.

    Attributes:
        iteration: the updates that its weights had.
        class_names: one for each class.
        confusion: samples of class ``row`` that were taken for class ``column``.
        mistakes: the wrong answers with the highest confidence, the most confident first.
    """

    iteration: int
    class_names: tuple[str, ...]
    confusion: Int64[np.ndarray, "classes classes"]
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One run.

    Attributes:
        name: unique on the page.
        path: where it lies, as the user wrote it.
        status: new, running, interrupted, finished, stopped, diverged or failed.
        position: where training stands by its history.
        losses: one for each iteration: the mean over its batch before its update.
        facts: planned beside counted, for a run at its end.
        weights_sha256: of the newest checkpoint; ``None`` where it was not read.
        predictions: of the newest checkpoint, or why there are none.
    """

    name: str
    path: str
    status: str
    file: RunFile
    plan: Plan
    position: Position
    losses: Float32[np.ndarray, " iterations"]
    epochs: tuple[EpochRow, ...]
    evaluations: tuple[EvaluationRow, ...]
    sessions: tuple[SessionRow, ...]
    events: tuple[EventRow, ...]
    facts: tuple[Fact, ...]
    weights_sha256: str | None
    predictions: Predictions | Notice

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be expected of it."""
        return self.status not in MAY_GO_ON

    @property
    def training_seconds(self) -> float:
        """Seconds in training chunks, without compilation and evaluation."""
        if self.epochs and self.epochs[-1].end_iteration == self.losses.size:
            return math.fsum(row.seconds for row in self.epochs)
        return math.fsum(session.chunk_seconds for session in self.sessions)

    def first_with(self, accuracy: float) -> tuple[int, float] | None:
        """Return updates and training seconds at the first epoch's end with this test accuracy, if any has it."""
        seconds = 0.0
        for row in self.epochs:
            seconds += row.seconds
            if row.test_accuracy is not None and row.test_accuracy >= accuracy:
                return row.end_iteration, seconds
        return None

    @property
    def seconds(self) -> float:
        """Seconds of all sessions."""
        return sum(session.seconds for session in self.sessions)

    @property
    def tests(self) -> tuple[EvaluationRow, ...]:
        """The evaluations of the test set, by iteration."""
        return tuple(row for row in self.evaluations if row.split == "test")


@dataclass(frozen=True, slots=True)
class Point:
    """The end of an epoch, or the beginning: what the run had done by then.

    Attributes:
        epoch: complete epochs.
        seconds: of training.
    """

    epoch: int = 0
    iteration: int = 0
    samples: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Increment:
    """What a run has done since a page was made.

    Attributes:
        is_over: whether nothing more is to be expected.
        sessions: how many processes worked on it: a new one may have taken back what a killed one had done.
        first: the iteration of the first of these losses, counted from 0.
        start: the end of the last epoch that the page knows; what follows is after it.
    """

    file: RunFile
    status: str
    is_over: bool
    sessions: int
    first: int
    losses: Float32[np.ndarray, " iterations"]
    start: Point
    epochs: tuple[EpochRow, ...]
    tests: tuple[EvaluationRow, ...]
    training_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A run's way through the landscape: a dot for each point at which its weights were kept."""

    run: str
    iteration: Int64[np.ndarray, " dots"]
    epoch: Float64[np.ndarray, " dots"]
    x: Float64[np.ndarray, " dots"]
    y: Float64[np.ndarray, " dots"]
    loss: Float64[np.ndarray, " dots"]


@dataclass(frozen=True, slots=True, eq=False)
class Straight:
    """The loss on the straight line from one set of weights to another.

    Attributes:
        start, end: run and epoch of the weights at its ends.
        t: places on it: 0 is the start, 1 the end.
    """

    start: tuple[str, float]
    end: tuple[str, float]
    t: Float64[np.ndarray, " places"]
    loss: Float64[np.ndarray, " places"]


@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """The loss on a plane through weight space, and the runs' ways through it.

    Attributes:
        kind: ``"pca"`` or ``"random"``.
        split: whose loss it is.
        samples: how many samples each loss is the mean of.
        of: how many there are.
        x, y: coordinates of the grid, in units of weight distance.
        loss: ``loss[row, column]`` is the loss at ``(x[column], y[row])``.
        explained: shares of the ways' variance along x and y, 0 to 1; empty for random directions.
    """

    kind: str
    split: str
    samples: int
    of: int
    x: Float64[np.ndarray, " columns"]
    y: Float64[np.ndarray, " rows"]
    loss: Float64[np.ndarray, "rows columns"]
    explained: tuple[float, ...]
    ways: tuple[Way, ...]
    lines: tuple[Straight, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Everything on one page.

    Attributes:
        title: the study's or the run's name.
        made: when the page was made: UTC, ISO 8601.
        version: of Epochal.
        notices: what could not be shown or compared.
        study: the folder of the study that the runs are, as the user wrote it.
        bands: what the study's repeated seeds agree on.
        target_accuracy: the accuracy, 0 to 1, that the study asks each run's way to.
    """

    title: str
    made: str
    version: str
    runs: tuple[RunRecord, ...]
    landscapes: tuple[Landscape, ...] = ()
    notices: tuple[Notice, ...] = ()
    study: str | None = None
    target_accuracy: float | None = None
    bands: tuple[Band, ...] = ()


def position_of(file: RunFile, iterations: int) -> Position:
    """Return the position after so many iterations, through every change of the batch size."""
    position = Position()
    while position.iteration < iterations:
        plan = file.config_at(position.iteration).plan(file.data["train"])
        change = file.next_change(position.iteration)
        stop = iterations if change is None else min(change, iterations)
        position = plan.advance(position, Span.iterations(stop - position.iteration))
    return position
