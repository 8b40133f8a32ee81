"""`OutputsRecord`: a model's outputs on its test set, as plain NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass

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
