"""The model of a page: what it shows, as plain frozen records. `read` makes it from folders, `render` draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from epochal.record.landscape_record import LandscapeRecord
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
class TrainingSamples:
    """What a page holds of a training set.

    Attributes:
        number: N.
        indices: the samples that ``images`` are of, in their order; ``None``: all of them.
        images: uint8; ``None`` where samples are no images.
        labelled: the samples that ``labels`` are of, in their order; ``None``: all of them.
        labels: class numbers, uint16, or single targets, float32; ``None`` for several targets.
        class_names: one for each class; empty for a regression.
    """

    number: int
    indices: Int64[np.ndarray, " images"] | None
    images: UInt8[np.ndarray, "images height width *colours"] | None
    labelled: Int64[np.ndarray, " labels"] | None
    labels: Shaped[np.ndarray, " labels"] | None
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PageRun:
    """One run on a page.

    Attributes:
        record: what the run recorded, losses included.
        name: unique on the page.
        predictions: of the newest checkpoint, or why there are none.
        weights_sha256: of the newest checkpoint; ``None`` where it was not read.
        problems: what is not as it was written, a sentence each.
    """

    record: RunRecord
    name: str
    predictions: Predictions | Notice
    weights_sha256: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its folder, as the user wrote it."""
        return self.record.name


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
        samples: of each training set, by its fingerprint, or why there are none.
    """

    title: str
    made: str
    version: str
    runs: tuple[PageRun, ...]
    landscapes: tuple[LandscapeRecord, ...] = ()
    notices: tuple[Notice, ...] = ()
    study: str | None = None
    target_accuracy: float | None = None
    bands: tuple[Band, ...] = ()
    samples: Mapping[str, TrainingSamples | Notice] = field(default_factory=dict)
