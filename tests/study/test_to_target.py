"""Training to a target: where it stands, how it ends, and that what is tried shares one program."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import pytest

from epochal.config.train_config import TrainConfig
from epochal.engine.compile import PROGRAMS
from epochal.errors import OptionError
from epochal.run.custom import Custom
from epochal.study.held_out import validation_split
from epochal.study.target import Target, Trial
from epochal.study.to_target import Stopped, ToTarget, _crossing
from small import three_clouds

CONFIG = TrainConfig(hidden=(5,))
ACCURACY = Target("accuracy", 0.9)


@pytest.fixture(scope="module")
def trials() -> ToTarget:
    return ToTarget(CONFIG, validation_split(three_clouds(600, 60), 0))


def test_it_trains_until_the_held_out_value_is_reached(trials: ToTarget) -> None:
    trial = trials.train(ACCURACY, batch_size=8, lr=0.1, seed=0, limit=2_000)
    assert trial.why == "reached"
    assert trial.steps is not None
    assert trial.updates / 1.07 - 1 <= trial.steps <= trial.updates
    assert trial.nearest >= 0.9
    assert Trial.from_dict(trial.to_dict()) == trial


def test_the_crossing_lies_between_the_evaluations_around_it(trials: ToTarget) -> None:
    """An evaluation after each update is the truth; fewer of them may be 7 % off, and no more."""
    every = [
        (seen.updates, seen.value("loss"))
        for seen in trials.evaluations(batch_size=50, lr=0.2, seed=0, limit=14)
        if seen.updates
    ]
    assert [updates for updates, _ in every] == list(range(1, 15))
    value = (every[8][1] + every[9][1]) / 2
    trial = trials.train(Target("loss", value), batch_size=50, lr=0.2, seed=0, limit=100)
    assert trial.steps == pytest.approx(math.sqrt(9 * 10), rel=0.01)


def test_a_crossing_is_interpolated_in_the_logarithm_of_updates() -> None:
    assert _crossing(ACCURACY, (100, 0.8), (400, 1.0)) == pytest.approx(200)
    assert _crossing(ACCURACY, None, (0, 0.95)) == 0
    assert _crossing(ACCURACY, (0, 0.1), (1, 0.95)) == 1


def test_a_batch_size_is_compiled_once_whatever_is_tried(trials: ToTarget) -> None:
    trials.train(ACCURACY, batch_size=7, lr=0.1, seed=0, limit=200)  # 500 = 71 × 7 + 3: no program for the rest
    before = PROGRAMS.compilations
    for lr, seed in ((0.2, 0), (0.05, 1), (0.3, 5)):
        trials.train(ACCURACY, batch_size=7, lr=lr, seed=seed, limit=200)
    assert PROGRAMS.compilations == before
    trials.train(ACCURACY, batch_size=9, lr=0.1, seed=0, limit=3)
    assert PROGRAMS.compilations == before + 1


def test_the_same_trial_ends_the_same_whatever_was_tried_before(trials: ToTarget) -> None:
    given: dict[str, Any] = {"batch_size": 8, "lr": 0.1, "limit": 2_000}
    alone = ToTarget(CONFIG, validation_split(three_clouds(600, 60), 0))
    trials.train(ACCURACY, seed=3, **given)
    assert trials.train(ACCURACY, seed=0, **given) == alone.train(ACCURACY, seed=0, **given)
    assert trials.train(ACCURACY, seed=0, **given) != alone.train(ACCURACY, seed=1, **given)


def test_a_limit_ends_a_trial_and_says_how_near_it_came(trials: ToTarget) -> None:
    first = trials.train(Target("loss", 1e-6), batch_size=8, lr=0.01, seed=0, limit=33)
    assert (first.steps, first.why, first.updates) == (None, "limit", 33)
    assert 0 < first.nearest < 3
    cut = trials.train(Target("loss", 1e-6), batch_size=8, lr=0.01, seed=0, limit=33, is_race=True)
    assert cut.why == "cut"
    assert cut.nearest == first.nearest


def test_a_limit_that_is_not_reached_changes_nothing(trials: ToTarget) -> None:
    given: dict[str, Any] = {"batch_size": 8, "lr": 0.1, "seed": 0}
    assert trials.train(ACCURACY, limit=2_000, **given) == trials.train(ACCURACY, limit=900, **given)


def test_a_target_that_is_met_at_once_takes_no_update(trials: ToTarget) -> None:
    trial = trials.train(Target("accuracy", 0.01), batch_size=8, lr=0.1, seed=0, limit=9)
    assert (trial.steps, trial.updates, trial.why) == (0.0, 0, "reached")


def test_divergence_ends_a_trial_at_once() -> None:
    def explodes(outputs: Any, targets: Any) -> Any:
        return jnp.exp(60 * jnp.abs(outputs[:, 0])) * (1 + targets)

    trials = ToTarget(CONFIG, validation_split(three_clouds(600, 60), 0), Custom(loss=explodes))
    trial = trials.train(Target("loss", 1e-9), batch_size=8, lr=1e3, seed=0, limit=100_000)
    assert (trial.steps, trial.why) == (None, "diverged")
    assert trial.updates < 100


def test_a_stop_ends_it() -> None:
    trials = ToTarget(CONFIG, validation_split(three_clouds(600, 60), 0), should_stop=lambda: True)
    with pytest.raises(Stopped):
        trials.train(ACCURACY, batch_size=8, lr=0.1, seed=0, limit=9)


@pytest.mark.parametrize(
    ("metric", "value"), [("accuracy", 1.0), ("accuracy", 0.0), ("loss", -1.0), ("loss", math.nan)]
)
def test_a_target_out_of_range_is_refused(metric: Any, value: float) -> None:
    with pytest.raises(OptionError, match=f"a target {metric} must be"):
        Target(metric, value)
