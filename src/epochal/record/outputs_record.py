"""What a report needs of a live run, as plain NumPy arrays: outputs on the test set, and the training samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped


@dataclass(frozen=True, slots=True, eq=False)
class OutputsRecord:
    """A model's outputs on its test set.

    Attributes:
        iteration: the updates that its weights had.
        outputs: ``(samples, classes)`` float, before the softmax.
        x: the test samples as the data set stores them.
        y: their targets: class numbers for a classification.
        class_names: one for each class; empty for a regression.
    """

    iteration: int
    outputs: Float[np.ndarray, "samples outputs"]
    x: Shaped[np.ndarray, "samples *shape"]
    y: Shaped[np.ndarray, "samples *targets"]
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SamplesRecord:
    """The training samples that a run's epochs visit.

    Attributes:
        x: as the data set stores them; ``None`` for samples of several parts.
        y: their targets: class numbers for a classification.
        class_names: one for each class; empty for a regression.
    """

    x: Shaped[np.ndarray, "samples *shape"] | None
    y: Shaped[np.ndarray, "samples *targets"]
    class_names: tuple[str, ...]


@runtime_checkable
class OutputsDoor(Protocol):
    """What computes and loads, for a run folder, what its records do not hold; both raise `EpochalError`."""

    def __call__(self, path: Path) -> OutputsRecord:
        """Return the newest checkpoint's outputs on the whole test set."""
        ...

    def samples(self, path: Path) -> SamplesRecord:
        """Return the training samples."""
        ...
