"""From a configuration to what trains it: defaults that are filled in, and options that have no effect."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optax
import pytest

from epochal import rerun, resume, train
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, Preprocessing, from_arrays
from epochal.engine import METRICS, default_learning_rate
from epochal.errors import OptionError
from epochal.run.custom import Custom
from epochal.run.defaults import Facts, rate_for
from epochal.run.setup import set_up

PLAIN: dict[str, Any] = {"batch_size": 10, "epochs": 1}


def clouds() -> Dataset:
    """Sixty points of four features in three classes."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 4)).astype(np.float32), np.arange(60, dtype=np.int32) % 3
    return from_arrays(x, y, test=(x[:20], y[:20]), name="clouds")


def resolved(custom: Custom | None = None, **options: Any) -> TrainConfig:
    return set_up(TrainConfig(**PLAIN, **options), clouds(), custom).config


def pictures() -> Dataset:
    """The same, each as a picture of 2 × 2."""
    data = clouds()
    x = data.train.x.reshape(-1, 2, 2)
    return from_arrays(x, data.train.y, test=(x[:20], data.train.y[:20]), name="pictures")


def test_defaults_are_filled_in() -> None:
    config = set_up(TrainConfig(**PLAIN), pictures()).config
    assert (config.optimizer, config.lr, config.loss, config.budget) == ("sgd", 0.388, "cross-entropy", "1ep")
    assert (config.weight_decay, config.clip_norm, config.label_smoothing) == (None, None, None)
    assert resolved(optimizer="momentum").momentum == 0.9
    assert resolved(optimizer="adamw").weight_decay == 1e-4


def test_a_table_has_defaults_of_its_own() -> None:
    config = set_up(TrainConfig(), clouds()).config
    assert (config.optimizer, config.lr, config.weight_decay) == ("adamw", 0.002, 0.2)
    assert (config.batch_size, config.budget) == (32, "500ep")
    large = from_arrays(np.zeros((25_000, 2)) + np.arange(25_000)[:, None], np.arange(25_000) % 2)
    config = set_up(TrainConfig(), large).config
    assert (config.batch_size, config.budget, config.lr) == (100, "20ep", 0.00354)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"optimizer": "sgd"}, ("sgd", None)),
        ({"lr": 0.1}, ("sgd", None)),
        ({"optimizer": "adamw"}, ("adamw", 1e-4)),
        ({"weight_decay": 0.5}, ("adamw", 0.5)),
    ],
)
def test_what_is_given_for_a_table_is_kept(options: dict[str, Any], kept: tuple[str, float | None]) -> None:
    config = resolved(**options)
    assert (config.optimizer, config.weight_decay) == kept
    assert all(getattr(config, name) == value for name, value in options.items())


def test_a_model_brings_its_default_optimizer() -> None:
    x = clouds().train.x.reshape(-1, 2, 2)
    data = from_arrays(x, clouds().train.y, test=(x[:3], clouds().train.y[:3]))
    assert set_up(TrainConfig(model="rnn", **PLAIN), data).config.optimizer == "adam"
    assert set_up(TrainConfig(model="rnn", optimizer="sgd", **PLAIN), data).config.optimizer == "sgd"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 0.5}, "momentum has no effect with sgd; it is an option of momentum and nesterov"),
        ({"optimizer": "adamw", "momentum": 0.5}, "momentum has no effect with adamw"),
    ],
)
def test_an_option_of_another_optimizer_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        resolved(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"schedule": "cosine"},
        {"warmup": "1it"},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"clip_norm": 1.0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_has_no_effect_beside_an_optax_object_is_refused(options: dict[str, Any]) -> None:
    custom = Custom(optimizer=optax.sgd(0.1))
    (name,) = options
    with pytest.raises(OptionError, match=f"^{name} has no effect beside an Optax transformation of your own"):
        resolved(custom, **options)


def test_a_configuration_with_an_optax_object_can_be_set_up_again() -> None:
    """As a resume does, from the configuration that was filled in; also from one of an earlier version."""
    custom = Custom(optimizer=optax.sgd(0.1))
    config = resolved(custom)
    assert (config.optimizer, config.lr) == ("custom", None)
    assert set_up(config, clouds(), custom).config == config
    with pytest.raises(OptionError, match="lr has no effect"):
        set_up(config.changed({"lr": 0.5}), clouds(), custom)

    recorded = resolved(custom, optimizer="sgd", lr=0.0316)
    assert set_up(recorded, clouds(), custom).config == recorded


def test_metrics_are_chosen_by_name_or_given() -> None:
    def names(metrics: Any) -> list[str]:
        setup = set_up(TrainConfig(**PLAIN), clouds(), Custom(metrics=metrics))
        return list(setup.engine.evaluate(setup.engine.initial_state(), setup.data.test).values)

    assert names(None) == ["loss", "accuracy"]
    assert names(["log-loss", METRICS["roc-auc"]]) == ["loss", "log-loss", "roc-auc"]


@pytest.mark.usefixtures("unchecked")
def test_changes_are_recorded_as_plain_values(tmp_path: Path) -> None:
    run = train("digits", model="linear", iterations=3, run=tmp_path / "run")
    resumed = resume(run.path, iterations=np.int64(6), lr="0.05", batch_size="50", evaluate_every=None)
    assert resumed.file.changes[-1].options == {"lr": 0.05, "batch_size": 50, "budget": "6it"}
    assert rerun(run.path, tmp_path / "again").is_same


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "optimizer",
    ["sgd", "lion", *(pytest.param(one, marks=pytest.mark.slow) for one in ("rmsprop", "adagrad", "adafactor"))],
)
def test_decay_clipping_and_smoothing_are_recorded_and_repeated(optimizer: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weight_decay": 0.1, "clip_norm": 0.5, "label_smoothing": 0.2}
    plain = train("digits", model="linear", iterations=30, optimizer=optimizer, run=tmp_path / "plain")
    run = train("digits", model="linear", iterations=30, optimizer=optimizer, run=tmp_path / "run", **options)
    assert {name: getattr(run.file.config, name) for name in options} == options
    assert "--clip-norm 0.5" in run.config.command()
    assert run.weights_sha256 != plain.weights_sha256
    assert rerun(run.path, tmp_path / "again").is_same


def test_the_smoothed_loss_is_the_trainings_and_the_plain_one_the_evaluations() -> None:
    """Four points of four classes: targets of 0.7 + 3 · 0.1 have an entropy, and outputs come to these shares."""
    x = np.eye(4, dtype=np.float32).repeat(5, axis=0)
    y = np.arange(4, dtype=np.int32).repeat(5)
    data = from_arrays(x, y, test=(x, y))
    run = train(data, model="linear", lr=0.5, epochs=50, batch_size="all", label_smoothing=0.4, run=False)
    last = run.history.epochs[-1]
    least = -(0.7 * np.log(0.7) + 0.3 * np.log(0.1))
    assert last.train_loss == pytest.approx(least, rel=0.01)
    assert run.evaluate().loss == pytest.approx(-np.log(0.7), rel=0.01)


# --- learning rates -------------------------------------------------------------------------------------------------

CLASSES, NUMBERS = Facts(89.0, False, None), Facts(9.0, True, 1)
PLAIN_AND_ADAM = ["sgd", "momentum", "nesterov", "adam", "adamw"]


@pytest.mark.parametrize(("model", "share"), [("mlp", 1), ("cnn", 0.5), ("lenet", 0.5), ("rnn", 0.5), (None, 0.25)])
def test_a_deeper_model_has_a_smaller_default_rate(model: str | None, share: float) -> None:
    for optimizer in ("sgd", "adam"):
        own = default_learning_rate(optimizer, 64)
        assert rate_for(optimizer, 64, model, CLASSES) == pytest.approx(share * own, rel=0.01)


@pytest.mark.parametrize("batch_size", [1, 64, 100_000])
def test_plain_descent_on_a_squared_error_has_a_far_smaller_default_rate(batch_size: int) -> None:
    for optimizer in ("sgd", "momentum", "nesterov"):
        rate = rate_for(optimizer, batch_size, "mlp", NUMBERS)
        assert 0.02 < rate / default_learning_rate(optimizer, batch_size) < 0.2
        assert rate_for(optimizer, batch_size, "mlp", replace(NUMBERS, outputs=3)) == pytest.approx(3 * rate, rel=0.01)
    classes = replace(NUMBERS, outputs=None)
    assert rate_for("adam", batch_size, "mlp", NUMBERS) == rate_for("adam", batch_size, "mlp", classes)


@pytest.mark.parametrize("optimizer", PLAIN_AND_ADAM)
def test_mlps_rate_is_larger_for_short_samples_where_batches_are_small_alone(optimizer: str) -> None:
    short = Facts(9.0, False, None)
    assert rate_for(optimizer, 1, "mlp", short) > 4 * rate_for(optimizer, 1, "mlp", CLASSES)
    assert rate_for(optimizer, 10**7, "mlp", short) == pytest.approx(
        rate_for(optimizer, 10**7, "mlp", CLASSES), rel=0.02
    )


@pytest.mark.parametrize("optimizer", PLAIN_AND_ADAM)
@pytest.mark.parametrize("outputs", [None, 1])
def test_linears_rate_is_as_many_times_smaller_as_its_samples_squared_length_is_larger(
    optimizer: str, outputs: int | None
) -> None:
    short, long = (rate_for(optimizer, 64, "linear", Facts(length, True, outputs)) for length in (5.0, 500.0))
    assert short / long == pytest.approx(100, rel=0.01)


def test_plain_descent_alone_minds_over_how_many_outputs_an_error_is_averaged() -> None:
    sgd, adam = (
        [rate_for(optimizer, 64, "linear", Facts(8.0, True, outputs)) for outputs in (1, 10)]
        for optimizer in ("sgd", "adam")
    )
    assert sgd[1] == pytest.approx(10 * sgd[0], rel=0.01)
    assert adam[0] == adam[1]


def test_the_facts_are_those_of_samples_as_the_model_sees_them() -> None:
    data = pictures()
    x = data.preprocessing(data.train.take(np.arange(60)).x).reshape(60, -1)
    facts = Facts.of(data, "cross-entropy")
    assert facts.squared_length == pytest.approx(1 + np.mean(np.sum(x**2, axis=1)))
    assert (facts.is_table, facts.outputs) == (False, None)

    columns = from_arrays(np.random.default_rng(0).normal(5, 3, (5_000, 7)), np.arange(5_000) % 2)
    facts = Facts.of(columns, "mean-squared-error")
    assert facts.squared_length == pytest.approx(1 + 7, rel=0.05)
    assert (facts.is_table, facts.outputs) == (True, 2)


def test_samples_in_a_rhythm_do_not_deceive() -> None:
    """Every tenth sample is far longer, as where a file goes through its classes in turn."""
    x = np.ones((50_000, 4), np.float32)
    x[::10] = 10
    as_they_are = Preprocessing.of(shift=0, scale=1)
    data = from_arrays(x, np.arange(50_000) % 2, test=(x[:2], np.arange(2)), preprocessing=as_they_are)
    assert Facts.of(data, "cross-entropy").squared_length == pytest.approx(1 + np.mean(np.sum(x**2, axis=1)), rel=0.15)


def scaled(factor: float, outputs: int = 1) -> Dataset:
    """Two hundred samples of five correlated features, as they are, with targets that are a multiple of their sum."""
    random = np.random.default_rng(0)
    x = (factor * (random.normal(size=(200, 5)) + 3 * random.normal(size=(200, 1)))).astype(np.float32)
    y = np.repeat(x.sum(axis=1, keepdims=True) / factor, outputs, axis=1)
    as_they_are = Preprocessing.of(shift=0, scale=1)
    return from_arrays(x, y, test=(x[:20], y[:20]), preprocessing=as_they_are)


@pytest.mark.parametrize("factor", [0.1, 1, 20])
@pytest.mark.parametrize("outputs", [1, 3])
def test_whole_batches_at_the_default_rate_are_stable_on_inputs_of_any_scale(factor: float, outputs: int) -> None:
    """On features that are nearly one: there the curvature is almost the squared length, the most that it can be."""
    data = scaled(factor, outputs)
    run = train(data, model="linear", optimizer="sgd", batch_size="all", epochs=200, run=False, progress=False)
    losses = [epoch.train_loss for epoch in run.history.epochs]
    assert all(after <= before * 1.001 for before, after in pairwise(losses))
    assert losses[-1] < 0.1 * losses[0]

    high = train(
        data, model="linear", optimizer="sgd", batch_size="all", epochs=20, lr=3 * run.config.lr, run=False,
        progress=False,
    )  # fmt: skip
    assert not high.history.epochs[-1].train_loss < losses[0], "the test cannot tell"
