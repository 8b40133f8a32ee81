"""scikit-learn's own checks of an estimator: all of them, but what is argued here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from epochal.sklearn import EpochalClassifier, EpochalRegressor

ARGUED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weights equal repeated rows but for rounding: many epochs in float32 differ by 1e-5, the check allows 1e-7; "
        "with batches of fewer than N they also make other batches, as in any stochastic descent"
    )
}
"""The checks that may fail, and why; `test_estimator_training.py` has the equivalence for full batches."""

pytestmark = [
    pytest.mark.usefixtures("unchecked"),  # scikit-learn passes wrong types to see the estimator's own answer
    pytest.mark.filterwarnings("ignore:batch_size=:UserWarning"),
]


def expected(estimator: Any) -> dict[str, str]:
    return ARGUED


@parametrize_with_checks(
    [EpochalClassifier(model="linear"), EpochalRegressor(model="linear")], expected_failed_checks=expected
)
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    """Of the linear models, which compile in half the time: what is checked is common to all models."""
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [
        EpochalClassifier(),
        EpochalRegressor(),
        EpochalClassifier(model="linear", batch_size="all", optimizer="momentum", epochs=500),
        EpochalRegressor((20, 10), optimizer="adam", learning_rate=0.01, standardize=False, epochs=200),
    ],
    expected_failed_checks=expected,
)
def test_scikit_learns_checks_of_other_estimators(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_no_more_than_two_checks_are_argued() -> None:
    assert len(ARGUED) <= 2
