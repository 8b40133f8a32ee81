"""The model of a page: what it shows, as plain frozen records. `read` makes it from folders, `render` draws it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from epochal.record.run_record import RunRecord
from epochal.record.study_record import Band


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a page leaves out or warns of.

    Attributes:
        key: the sentence's key in the message tables, ``notice.KEY``.
        values: what fills the sentence's gaps.
    """

    key: str
    values: dict[str, str | int]


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """A misclassified test sample.

    Attributes:
        index: its place in the test set, from 0.
        true, predicted: class numbers.
        confidence: the predicted class's probability, 0 to 1.
        image: uint8 ``(height, width)`` or ``(height, width, 3)``; ``None`` where samples are no images.
    """

    index: int
    true: int
    predicted: int
    confidence: float
    image: UInt8[np.ndarray, "height width *colours"] | None


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A model's predictions on its test set.

    Attributes:
        iteration: the updates that its weights had.
        class_names: one for each class.
        confusion: samples of class ``row`` that were predicted as class ``column``.
        mistakes: the errors with the highest confidence, the most confident first.
    """

    iteration: int
    class_names: tuple[str, ...]
    confusion: Int64[np.ndarray, "classes classes"]
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PageRun:
    """One run on a page.

    Attributes:
        record: what the run recorded, losses included.
        name: unique on the page.
        predictions: of the newest checkpoint, or why there are none.
        weights_sha256: of the newest checkpoint; ``None`` where it was not read.
    """

    record: RunRecord
    name: str
    predictions: Predictions | Notice
    weights_sha256: str | None = None

    @property
    def path(self) -> str:
        """Its folder, as the user wrote it."""
        return self.record.name


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """A run's trajectory through the landscape: a point for each snapshot of its weights."""

    run: str
    iteration: Int64[np.ndarray, " points"]
    epoch: Float64[np.ndarray, " points"]
    x: Float64[np.ndarray, " points"]
    y: Float64[np.ndarray, " points"]
    loss: Float64[np.ndarray, " points"]


@dataclass(frozen=True, slots=True, eq=False)
class Interpolation:
    """The loss along the linear interpolation from one set of weights to another.

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
    """The loss on a plane through weight space, and the runs' trajectories in it.

    Attributes:
        kind: ``"pca"`` or ``"random"``.
        split: whose loss it is.
        samples: how many samples each loss is the mean of.
        of: how many there are.
        x, y: coordinates of the grid, in units of weight distance.
        loss: ``loss[row, column]`` is the loss at ``(x[column], y[row])``.
        explained: shares of the trajectories' variance along x and y, 0 to 1; empty for random directions.
        left_out: the runs without a trajectory, and why.
    """

    kind: str
    split: str
    samples: int
    of: int
    x: Float64[np.ndarray, " columns"]
    y: Float64[np.ndarray, " rows"]
    loss: Float64[np.ndarray, "rows columns"]
    explained: tuple[float, ...]
    trajectories: tuple[Trajectory, ...]
    lines: tuple[Interpolation, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Everything on one page.

    Attributes:
        title: the study's or the run's name.
        made: when the page was made: UTC, ISO 8601.
        version: of Epochal.
        notices: what could not be shown or compared.
        study: the folder of the study that the runs belong to, as the user wrote it.
        target_accuracy: the accuracy, 0 to 1, whose updates and seconds the study asks for.
        bands: what the study's repeated seeds agree on.
    """

    title: str
    made: str
    version: str
    runs: tuple[PageRun, ...]
    landscapes: tuple[Landscape, ...] = ()
    notices: tuple[Notice, ...] = ()
    study: str | None = None
    target_accuracy: float | None = None
    bands: tuple[Band, ...] = ()
