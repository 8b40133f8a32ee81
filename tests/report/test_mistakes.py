from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.data import Split
from epochal.study.mistakes import MISTAKES_SHOWN, as_image, judge

NAMES = ("a", "b", "c")


def split(y: list[int], shape: tuple[int, ...] = (4, 4)) -> Split:
    return Split(np.full((len(y), *shape), 200, np.uint8), np.array(y, np.int32))


class TestJudge:
    def test_rows_are_true_classes_and_columns_answers(self) -> None:
        scores = np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [0, 0, 5]])
        judged = judge(scores, split([0, 1, 2, 1]), NAMES, 7)
        assert judged.confusion.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
        assert (judged.iteration, judged.class_names) == (7, NAMES)

    @given(st.integers(1, 200), st.integers(0, 99))
    def test_each_sample_is_counted_once(self, samples: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 3, samples)
        scores = rng.normal(size=(samples, 3))
        judged = judge(scores, split(y.tolist()), NAMES, 0)
        np.testing.assert_array_equal(judged.confusion.sum(axis=1), np.bincount(y, minlength=3))
        assert judged.confusion.trace() == (scores.argmax(axis=1) == y).sum()
        assert len(judged.mistakes) == min(MISTAKES_SHOWN, samples - judged.confusion.trace())

    def test_the_surest_mistake_comes_first_with_its_probability(self) -> None:
        scores = np.array([[1.0, 0, 0], [9, 0, 0], [9, 0, 0]])
        judged = judge(scores, split([1, 2, 0]), NAMES, 0)
        assert [(one.index, one.true, one.predicted) for one in judged.mistakes] == [(1, 2, 0), (0, 1, 0)]
        assert judged.mistakes[0].confidence == pytest.approx(np.exp(9) / (np.exp(9) + 2))

    def test_scores_of_any_size_give_probabilities(self) -> None:
        judged = judge(np.array([[1e30, -1e30, 0.0]]), split([1]), NAMES, 0)
        assert judged.mistakes[0].confidence == 1.0

    def test_a_perfect_model_makes_no_mistakes(self) -> None:
        assert judge(np.eye(3), split([0, 1, 2]), NAMES, 0).mistakes == ()


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
