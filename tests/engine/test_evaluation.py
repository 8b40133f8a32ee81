"""Evaluation: each sample once, every mean over samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import workbench
from workbench import labelled, linear, numbered

from epochal.data import Split
from epochal.engine import Engine, Evaluation
from epochal.errors import DataError

SIZES = [1, 10, 23]


def engine_for(*args: Any, **options: Any) -> Engine:
    """An engine with small slices, so that small splits show what large ones would: 23 samples are two and a rest."""
    return workbench.engine_for(*args, slice_size=10, **options)


def by_hand(engine: Engine, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Each sample's cross-entropy, and whether it is classified correctly, in double precision."""
    params = engine.initial_state().params
    x = engine.data.preprocessing(split.x).astype(np.float64)
    scores = x @ np.asarray(params["matrix"], np.float64) + np.asarray(params["bias"], np.float64)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(x)), split.y]
    return losses, scores.argmax(axis=1) == split.y


@pytest.mark.parametrize("n", SIZES)
def test_loss_and_accuracy_are_means_over_samples(n: int) -> None:
    engine = engine_for(linear(), labelled(30, test=n))
    losses, correct = by_hand(engine, engine.data.test)
    result = engine.evaluate(engine.initial_state(), engine.data.test)
    assert result.samples == n
    assert result.accuracy == correct.mean()
    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)


def test_mean_of_batch_means_would_be_seen() -> None:
    """The control: weighting slices, not samples, gives the three last of 23 as much weight as the ten first."""
    engine = engine_for(linear(), labelled(30, test=23))
    losses, _ = by_hand(engine, engine.data.test)
    mean_of_means = np.mean([losses[:10].mean(), losses[10:20].mean(), losses[20:].mean()])
    result = engine.evaluate(engine.initial_state(), engine.data.test)
    assert abs(result.loss - losses.mean()) < 1e-4 < 1e-2 < abs(mean_of_means - losses.mean())


@pytest.mark.parametrize("n", [*SIZES, 9, 11])
def test_each_sample_is_counted_once(n: int) -> None:
    """Sample i has the loss 2^i here: the sum tells how often each one was counted, padding and all."""

    def power(outputs: Any, targets: Any) -> Any:
        return 2.0**targets + 0 * outputs[:, 0]

    engine = engine_for(linear(1, 1), numbered(1, test=n), loss=power)
    result = engine.evaluate(engine.initial_state(), engine.data.test)
    assert result.loss * n == pytest.approx(2**n - 1, rel=1e-12)
    assert (result.samples, result.accuracy) == (n, None)


@pytest.mark.parametrize("n", SIZES)
def test_predictions_are_in_the_order_of_the_samples(n: int) -> None:
    engine = engine_for(linear(1, 1), numbered(1, test=n))
    state = engine.initial_state()
    outputs = engine.predict(state, engine.data.test)
    expected = np.arange(n)[:, None] * np.asarray(state.params["matrix"]) + np.asarray(state.params["bias"])
    assert outputs.shape == (n, 1)
    assert outputs == pytest.approx(expected, rel=1e-6)


def test_training_samples_can_be_evaluated_too_and_nothing_is_trained() -> None:
    engine = engine_for(linear(), labelled(23, test=11))
    state = engine.initial_state()
    once = engine.evaluate(state, engine.data.train)
    assert once.samples == 23
    assert engine.evaluate(state, engine.data.train) == once
    assert engine.evaluate(state, engine.data.test).samples == 11


def test_a_split_of_somebody_elses_is_prepared_with_the_preprocessing_that_was_trained_with() -> None:
    engine = engine_for(linear(), labelled(30, test=5))
    split = labelled(30, test=5, seed=9).test
    losses, _ = by_hand(engine, split)
    assert engine.evaluate(engine.initial_state(), split).loss == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 3], np.int32), "class 3 is none of the 3 classes of 'labelled'"),
        (np.array([-1, 2], np.int32), "none of the 3 classes"),
        (np.array([0, 1], np.float32), r"targets of type float32 and shape \(\) do not fit this model"),
        (np.array([[0], [1]], np.int32), r"targets of type int32 and shape \(1,\) do not fit this model"),
    ],
)
def test_targets_of_another_kind_are_refused(y: np.ndarray, message: str) -> None:
    """A class beyond the outputs would make the mean loss NaN, or worse, a plausible number."""
    engine = engine_for(linear(), labelled(30))
    with pytest.raises(DataError, match=message):
        engine.evaluate(engine.initial_state(), Split(np.zeros((2, 4), np.float32), y))


def test_no_samples_have_no_mean() -> None:
    nothing = Evaluation()
    assert math.isnan(nothing.loss)
    assert nothing.accuracy is None
