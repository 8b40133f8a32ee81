"""The data that all contenders get: MNIST where there is one, else digits-60k, as NumPy arrays of model input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from epochal.data import Dataset, load_data
from epochal.errors import EpochalError
from work import Work

_TESTED = 2000


@dataclass
class Problem:
    """A row's work and its data.

    Attributes:
        x, y: training images ``(n, 28, 28)`` float32, as the preprocessing makes them, and labels ``(n,)`` int32.
        x_test, y_test: the same of the test set's first 2,000: enough for a difference of a point or two.
        batch: samples an update.
    """

    work: Work
    dataset: Dataset

    @property
    def samples(self) -> int:
        return self.work.samples or len(self.dataset.train)

    @property
    def batch(self) -> int:
        return self.work.batch(self.samples)

    @property
    def images(self) -> np.ndarray:
        """The training images as they are stored, ``(n, 28, 28)`` uint8."""
        return self.dataset.train.x[: self.samples]

    @property
    def y(self) -> np.ndarray:
        return self.dataset.train.y[: self.samples]

    @property
    def test_images(self) -> np.ndarray:
        """The test images as they are stored."""
        return self.dataset.test.x[:_TESTED]

    @cached_property
    def x(self) -> np.ndarray:
        return self.dataset.preprocessing(self.images)

    @cached_property
    def x_test(self) -> np.ndarray:
        return self.dataset.preprocessing(self.test_images)

    @property
    def y_test(self) -> np.ndarray:
        return self.dataset.test.y[:_TESTED]


def load_dataset() -> Dataset:
    """Return MNIST from EPOCHAL_DATA, or digits-60k, which has its size and needs no network."""
    try:
        return load_data("mnist")
    except (EpochalError, OSError):
        return load_data("digits-60k")
