"""Regressions at the defaults: every set converges, in its own units, wherever its targets lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from sklearn import datasets

from epochal import train
from epochal.data import from_arrays
from epochal.run.run import Run

Pair = tuple[np.ndarray, np.ndarray]


def plane() -> Pair:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 8))
    return x, x @ np.arange(8) + rng.normal(size=2000)


def sine() -> Pair:
    x = np.random.default_rng(0).uniform(0, 2 * np.pi, 500)
    return x[:, None], np.sin(x) + np.random.default_rng(1).normal(0, 0.05, 500)


SETS: dict[str, tuple[Callable[[], Pair], float]] = {
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True), 0.2),
    "friedman1": (lambda: datasets.make_friedman1(500, noise=1.0, random_state=0), 0.8),
    "friedman2": (lambda: datasets.make_friedman2(500, random_state=0), 0.98),
    "friedman3": (lambda: datasets.make_friedman3(500, random_state=0), 0.8),
    "sine": (sine, 0.98),
    "plane": (plane, 0.98),
}


MOVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": lambda y: y,
    "scaled": lambda y: (y - y.mean()) / y.std(),
    "prices": lambda y: 300_000 + 500 * y,
}
CASES = [
    pytest.param(name, move, marks=() if move == "raw" or name == "friedman1" else pytest.mark.slow)
    for name in SETS
    for move in MOVES
]


@pytest.mark.parametrize(("name", "move"), CASES)
def test_the_defaults_converge(name: str, move: str) -> None:
    load, least = SETS[name]
    x, y = load()
    run = train((x, MOVES[move](y)), run=False, progress=False)
    assert run.history.tests[-1].metrics["r2"] > least


def test_several_targets_of_other_scales() -> None:
    """Linnerud has twenty rows: too few for its test set, enough to learn the training rows of all three targets."""
    x, y = datasets.load_linnerud(return_X_y=True)
    run = train((x, y), run=False, progress=False)
    rows = run.data.train
    left = np.square(run.predict(rows.x) - rows.y).mean(axis=0) / rows.y.var(axis=0)
    assert (left < 0.5).all()


# --- in the user's units ---------------------------------------------------------------------------------------


def straight(slope: float, at: float) -> Run:
    x = np.linspace(-1, 1, 60)[:, None]
    return train((x, at + slope * x[:, 0] + 0 * x[:, 0]), model="linear", epochs=3, seed=1, run=False, progress=False)


def test_losses_and_metrics_are_in_the_units_of_the_targets() -> None:
    """The same numbers in another unit: losses grow by its square, errors by itself, R² not at all."""
    small, large = straight(1.0, 0.0), straight(1000.0, 5000.0)
    np.testing.assert_allclose(large.history.losses, 1e6 * small.history.losses, rtol=2e-3)
    one, other = small.history.tests[-1].metrics, large.history.tests[-1].metrics
    assert other["rmse"] == pytest.approx(1000 * one["rmse"], rel=2e-3)
    assert other["mae"] == pytest.approx(1000 * one["mae"], rel=2e-3)
    assert other["r2"] == pytest.approx(one["r2"], abs=2e-3)
    assert one["loss"] == pytest.approx(one["rmse"] ** 2, rel=1e-5)


def test_the_recorded_loss_is_the_mean_squared_error_of_the_predictions() -> None:
    run = straight(1000.0, 5000.0)
    test = run.data.test
    by_hand = np.square(run.predict(test.x)[:, 0].astype(np.float64) - test.y).mean()
    assert run.history.tests[-1].loss == pytest.approx(by_hand, rel=1e-4)


def test_a_loss_of_your_own_sees_targets_as_they_are() -> None:
    seen: list[Any] = []

    def loss(outputs: Any, targets: Any) -> Any:
        seen.append(targets.dtype)
        return (outputs[:, 0] - targets) ** 2 / 1e6

    x = np.linspace(-1, 1, 60)[:, None]
    run = train((x, 5000 + 1000 * x[:, 0]), model="linear", loss=loss, epochs=1, lr=1e-9, run=False, progress=False)
    assert seen
    assert run.history.losses[0] == pytest.approx(np.square(run.data.train.y[:32]).mean() / 1e6, rel=0.3)
    assert abs(run.predict(x)).max() < 10, "outputs are as the model gives them, near 0"


def test_training_does_not_depend_on_the_unit() -> None:
    """Standardised targets are alike, so that the same seed leads to the same weights, up to rounding."""
    x = np.random.default_rng(0).normal(size=(100, 4))
    y = (x @ np.arange(4.0)).astype(np.float32)
    first, second = (train(from_arrays(x, unit * y), epochs=5, run=False, progress=False) for unit in (1.0, 1024.0))
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
