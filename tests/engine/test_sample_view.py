"""What single samples say, against the engine's own iteration: losses, outputs and pulls."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from epochal.clock import Position
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, from_arrays
from epochal.engine import named_leaves
from epochal.engine.sample_view import SampleView
from epochal.landscape.trajectory import WeightSpace
from epochal.run.setup import Setup, set_up
from small import three_clouds


def quantities() -> Dataset:
    random = np.random.default_rng(1)
    x = random.normal(size=(40, 3)).astype(np.float32)
    return from_arrays(x, 100 + 7 * x.sum(axis=1) + random.normal(size=40), name="quantities", task="regression")


def pictures() -> Dataset:
    random = np.random.default_rng(2)
    x = random.integers(0, 17, (60, 8, 8)).astype(np.uint8)
    return from_arrays(x, np.arange(60) % 3, name="pictures", class_names=("a", "b", "c"))


PROBLEMS = {
    "mlp of classes": (three_clouds, {"model": "mlp", "hidden": (5,)}),
    "linear": (three_clouds, {"model": "linear"}),
    "standardised quantities": (quantities, {"model": "mlp", "hidden": (5,)}),
    "convolutions, which know the backward derivative alone": (pictures, {"model": "cnn", "hidden": (4,)}),
    "squared error of classes": (three_clouds, {"model": "linear", "loss": "mean-squared-error"}),
}


def begun(name: str, batch_size: int) -> Setup:
    build, options = PROBLEMS[name]
    return set_up(TrainConfig(optimizer="sgd", lr=0.05, batch_size=batch_size, epochs=1, seed=3, **options), build())


def two_directions(space: WeightSpace) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(0).normal(size=(space.size, 2)))[0].T


SLOW = "convolutions, which know the backward derivative alone"


@pytest.mark.parametrize(
    ("size", "name"),
    [
        pytest.param(size, name, marks=[pytest.mark.slow] * (name == SLOW and size > 1))
        for size in (1, 7, 24)
        for name in sorted(PROBLEMS)
    ],
)
def test_losses_and_pulls_are_those_of_the_iteration(name: str, size: int) -> None:
    setup = begun(name, size)
    engine, space = setup.engine, WeightSpace.of(setup.engine)
    directions = two_directions(space)
    state = engine.initial_state()
    before = space.vector(named_leaves(state)).astype(np.float64)

    indices = engine.order.indices(0, 0, size)
    figures = SampleView(engine).of(state, indices, space.params(directions))
    after, chunk = engine.run(state, Position(), size, 1)

    assert figures.losses.mean(dtype=np.float64) == pytest.approx(float(chunk.losses[0]), rel=1e-5)
    move = directions @ (space.vector(named_leaves(after)).astype(np.float64) - before)
    predicted = setup.config.lr * figures.pulls.mean(axis=0, dtype=np.float64)
    scale = np.abs(move).max()
    assert np.allclose(predicted, move, rtol=0, atol=1e-4 * scale + 1e-7)

    # the other way, or another length, is seen
    assert not np.allclose(-predicted, move, rtol=0, atol=1e-4 * scale + 1e-7)
    assert not np.allclose(1.01 * predicted, move, rtol=0, atol=1e-4 * scale + 1e-7)


def test_each_sample_is_looked_at_by_itself() -> None:
    """However many are asked for at once, and whatever the others are."""
    setup = begun("mlp of classes", 5)
    engine, space = setup.engine, WeightSpace.of(setup.engine)
    look, state = SampleView(engine), engine.initial_state()
    directions = space.params(two_directions(space))
    indices = np.arange(len(setup.data.train))[::-1].copy()
    together = look.of(state, indices, directions)
    for place in (0, 1, len(indices) - 1):
        alone = look.of(state, indices[[place]], directions)
        for one, all_of_them in zip(alone, together, strict=True):
            assert np.allclose(one[0], all_of_them[place], rtol=1e-5, atol=1e-6)


def test_outputs_are_those_of_a_prediction() -> None:
    setup = begun("standardised quantities", 5)
    state = setup.engine.initial_state()
    figures = SampleView(setup.engine).of(state, np.arange(6))
    assert np.allclose(figures.outputs, setup.engine.predict(state, setup.data.train.take(np.arange(6))), rtol=1e-5)
    assert figures.pulls.shape == (6, 0)


def test_weights_of_samples_count() -> None:
    setup = begun("mlp of classes", 12)
    weights = np.linspace(0, 2, len(setup.data.train)).astype(np.float32)
    train = dataclasses.replace(setup.data.train, weight=weights)
    setup = set_up(setup.config, dataclasses.replace(setup.data, train=train))
    indices = setup.engine.order.indices(0, 0, 12)
    losses = SampleView(setup.engine).of(setup.engine.initial_state(), indices).losses
    _, chunk = setup.engine.run(setup.engine.initial_state(), Position(), 12, 1)
    assert losses.mean() == pytest.approx(float(chunk.losses[0]), rel=1e-5)
