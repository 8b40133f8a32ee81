"""The strongly convex problem: its optimum is one, and descent goes there."""

from __future__ import annotations

import numpy as np
import pytest

from epochal.data import Dataset, load_data
from epochal.study.lessons.convex import NEAR_ENOUGH, ConvexProblem, distances
from epochal.study.lessons.row_orders import WAYS, row_order


@pytest.fixture(scope="module")
def problem() -> ConvexProblem:
    """The digits' problem."""
    return ConvexProblem.of(load_data("digits"), 0.01)


def test_the_optimum_has_no_gradient(problem: ConvexProblem) -> None:
    optimum = problem.optimum()
    assert np.linalg.norm(problem.gradient(optimum)) <= NEAR_ENOUGH
    # the negative control: beside it there is one, of the curvature at least
    beside = optimum + 0.1
    assert np.linalg.norm(problem.gradient(beside)) >= 0.01 * np.linalg.norm(beside - optimum) > NEAR_ENOUGH


def test_the_gradient_is_that_of_the_loss(problem: ConvexProblem) -> None:
    random = np.random.default_rng(0)
    weights, along = random.normal(size=(2, problem.x.shape[1], problem.classes))
    above, below = (problem._value_and_gradient(weights + sign * 1e-5 * along)[0] for sign in (1, -1))
    assert (above - below) / 2e-5 == pytest.approx((problem.gradient(weights) * along).sum(), rel=1e-6)


def test_whole_batches_descend_to_the_optimum_from_any_order() -> None:
    data = load_data("digits")
    small = ConvexProblem(*_first(data, 40), 10, 0.5)
    optimum = small.optimum()
    orders = np.stack([row_order("file", small.y, 200, 0), row_order("reshuffled", small.y, 200, 1)])
    far = distances(small, optimum, orders, np.array([0.1, 0.1]), 40)
    assert far is not None
    assert far[:, -1] == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(far[0], far[1], rtol=1e-3, atol=1e-8)


def test_a_stop_is_heard(problem: ConvexProblem) -> None:
    orders = np.zeros((1, 20, 10), np.int32)
    assert distances(problem, np.zeros((65, 10)), orders, np.array([0.1]), 1, lambda: True) is None


def test_each_way_but_replacement_uses_each_sample_once() -> None:
    labels = np.arange(50) % 3
    for way in WAYS:
        rows = row_order(way, labels, 4, seed=1)
        is_whole = [sorted(epoch) == list(range(50)) for epoch in rows.tolist()]
        assert all(is_whole) == (way != "replacement"), way
    assert np.unique(row_order("reshuffled", labels, 4, 1), axis=0).shape[0] == 4
    assert np.unique(row_order("once", labels, 4, 1), axis=0).shape[0] == 1
    assert (np.diff(labels[row_order("sorted", labels, 1, 1)[0]]) >= 0).all()


def _first(data: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first samples as the problem holds them."""
    whole = ConvexProblem.of(data, 0.5)
    return whole.x[:count], whole.y[:count]
