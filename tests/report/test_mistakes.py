from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.record.outputs_record import OutputsRecord
from epochal.report.mistakes import MISTAKES_SHOWN, as_image, predictions_of
from epochal.report.page_model import Predictions

NAMES = ("a", "b", "c")


def predicted(outputs: np.ndarray[Any, Any], y: list[int], iteration: int = 0) -> Predictions:
    x = np.full((len(y), 4, 4), 200, np.uint8)
    return predictions_of(OutputsRecord(iteration, outputs, x, np.array(y, np.int32), NAMES))


class TestPredictions:
    def test_rows_are_true_classes_and_columns_predicted_ones(self) -> None:
        outputs = np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [0, 0, 5]])
        found = predicted(outputs, [0, 1, 2, 1], 7)
        assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
        assert (found.iteration, found.class_names) == (7, NAMES)

    @given(st.integers(1, 200), st.integers(0, 99))
    def test_each_sample_is_counted_once(self, samples: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 3, samples)
        outputs = rng.normal(size=(samples, 3))
        found = predicted(outputs, y.tolist())
        np.testing.assert_array_equal(found.confusion.sum(axis=1), np.bincount(y, minlength=3))
        assert found.confusion.trace() == (outputs.argmax(axis=1) == y).sum()
        assert len(found.mistakes) == min(MISTAKES_SHOWN, samples - found.confusion.trace())

    def test_the_most_confident_mistake_comes_first_with_its_probability(self) -> None:
        outputs = np.array([[1.0, 0, 0], [9, 0, 0], [9, 0, 0]])
        found = predicted(outputs, [1, 2, 0])
        assert [(one.index, one.true, one.predicted) for one in found.mistakes] == [(1, 2, 0), (0, 1, 0)]
        assert found.mistakes[0].confidence == pytest.approx(np.exp(9) / (np.exp(9) + 2))

    def test_outputs_of_any_size_give_probabilities(self) -> None:
        found = predicted(np.array([[1e30, -1e30, 0.0]]), [1])
        assert found.mistakes[0].confidence == 1.0

    def test_a_perfect_model_makes_no_mistakes(self) -> None:
        assert predicted(np.eye(3), [0, 1, 2]).mistakes == ()


class TestAsImage:
    def test_bytes_stay_as_they_are(self) -> None:
        sample = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
        np.testing.assert_array_equal(as_image(sample), sample)

    def test_sixteen_greys_are_stretched_to_be_seen(self) -> None:
        image = as_image(np.arange(16, dtype=np.uint8).reshape(4, 4))
        assert image is not None
        assert (image.min(), image.max()) == (0, 255)

    def test_numbers_are_stretched(self) -> None:
        image = as_image(np.array([[-1.0, 0.0], [1.0, np.nan]], np.float32))
        assert image is not None
        assert image.dtype == np.uint8

    def test_a_flat_image_is_no_division_by_zero(self) -> None:
        image = as_image(np.ones((3, 3), np.float32))
        assert image is not None
        assert image.max() == 0

    @pytest.mark.parametrize("shape", [(4,), (1, 10), (3, 4, 5), (300, 300), (2, 2, 2, 2)])
    def test_what_is_no_picture(self, shape: tuple[int, ...]) -> None:
        assert as_image(np.zeros(shape, np.float32)) is None

    @pytest.mark.parametrize(("shape", "image"), [((5, 5, 1), (5, 5)), ((5, 5, 3), (5, 5, 3))])
    def test_channels(self, shape: tuple[int, ...], image: tuple[int, ...]) -> None:
        found = as_image(np.full(shape, 99, np.uint8))
        assert found is not None
        assert found.shape == image
