"""How estimators train: epochs, weights, classes, warm starts, partial fits, early stopping; and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score

from epochal import EpochalError, from_arrays, train
from epochal.engine import fit_program, whole_fit
from epochal.engine.compile import Programs
from epochal.sklearn import EpochalClassifier, EpochalRegressor, estimator
from epochal.sklearn.scaling import Scaling
from epochal.sklearn.settings import PARAMETERS

X, Y = load_iris(return_X_y=True)
DX, DY = load_diabetes(return_X_y=True)
SMALL: dict[str, Any] = {"hidden_layer_sizes": 8, "epochs": 6, "batch_size": 32, "random_state": 0}


def classifier(**options: Any) -> EpochalClassifier:
    return EpochalClassifier(**{**SMALL, **options})


def regressor(**options: Any) -> EpochalRegressor:
    return EpochalRegressor(**{**SMALL, **options})


def arrays(model: Any) -> list[np.ndarray]:
    return [*model.coefs_, *model.intercepts_]


def same_weights(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


# --- epochs and updates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "updates"), [(1, 900), (32, 30), (150, 6), ("all", 6), ("auto", 30)])
def test_epochs_and_updates_are_counted(batch_size: Any, updates: int) -> None:
    model = classifier(batch_size=batch_size).fit(X, Y)
    assert (model.n_iter_, model.n_updates_, len(model.loss_curve_)) == (6, updates, 6)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.validation_scores_ is None


def test_auto_is_what_training_a_table_takes() -> None:
    """About 4,000 updates, from 10 to 500 epochs; batches of 32, and of 100 above 10,000 samples."""
    model = EpochalClassifier(model="linear", random_state=0).fit(X, Y)
    assert (model.n_iter_, model.n_updates_) == (500, 2_500)
    many = EpochalClassifier(model="linear", random_state=0).fit(np.tile(X, (100, 1)), np.tile(Y, 100))
    assert (many.n_iter_, many.n_updates_) == (26, 3_900)


def test_an_epoch_that_leaves_samples_out_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the estimator trusts is what the compiled loop gathered."""
    drawn = fit_program.compiled_order
    monkeypatch.setattr(fit_program, "compiled_order", lambda *parts: drawn(*parts).at[0].set(3).at[1].set(3))
    monkeypatch.setattr(estimator, "WholeFit", partial(whole_fit.WholeFit, programs=Programs()))
    with pytest.raises(RuntimeError, match="did not use each of 150 samples once"):
        classifier(hidden_layer_sizes=11).fit(X, Y)


def test_a_seed_is_the_seed_of_training() -> None:
    """The weights are those of `epochal.train` but for last bits; so is the loss, in the targets' units."""
    x, y = DX.astype(np.float32), DY.astype(np.float32)
    data = from_arrays(x, y, test=(x[:5], y[:5]))
    options = {"optimizer": "adam", "epochs": 3, "batch_size": 32}
    run = train(data, model="mlp", hidden=(8,), lr=0.01, seed=2**40, run=False, **options)
    model = regressor(learning_rate=0.01, random_state=2**40, **options).fit(x, y)
    np.testing.assert_allclose(model.coefs_[0], run.params[0]["weights"], rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(model.loss_curve_, [row.train_loss for row in run.history.epochs], rtol=1e-3)


def test_random_states_differ_and_repeat() -> None:
    assert same_weights(classifier(random_state=1).fit(X, Y), classifier(random_state=1).fit(X, Y))
    assert not same_weights(classifier(random_state=1).fit(X, Y), classifier(random_state=2).fit(X, Y))
    one, other = (classifier(random_state=np.random.RandomState(3)).fit(X, Y) for _ in range(2))
    assert same_weights(one, other)


def test_verbose_prints_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    loud = classifier(verbose=True, early_stopping=True).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith(f"Epoch 6 of 6: loss {loud.loss_:.6f}, validation score ")
    assert same_weights(classifier(verbose=1).fit(X, Y), classifier().fit(X, Y))


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["linear", "mlp"])
@pytest.mark.parametrize("kind", [classifier, regressor])
def test_a_weight_of_two_is_a_row_twice_in_full_batches(kind: Any, model: str) -> None:
    """And one of 0 is no row: for inputs and targets that are standardised, too."""
    x, y = (X, Y) if kind is classifier else (DX[:150], DY[:150])
    counts = np.random.default_rng(0).integers(0, 3, len(x))
    make = {"model": model, "batch_size": "all", "epochs": 50, "learning_rate": 0.01}  # a usual rate depends on N
    weighted = kind(**make).fit(x, y, sample_weight=counts)
    repeated = kind(**make).fit(np.repeat(x, counts, axis=0), np.repeat(y, counts))
    without = kind(**make).fit(x, y)

    for one, other in zip(weighted.coefs_, repeated.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert not np.allclose(weighted.coefs_[0], without.coefs_[0], rtol=1e-3, atol=1e-4), "the control"


def test_class_weights_are_weights_of_samples() -> None:
    few = np.arange(150) > 30
    x, y = X[few], Y[few]
    balanced = classifier(class_weight="balanced").fit(x, y)
    as_dict = classifier(class_weight={k: 1 / np.sum(y == k) for k in range(3)}).fit(x, y)
    as_weights = classifier().fit(x, y, sample_weight=1 / np.bincount(y)[y])
    for other in (as_dict, as_weights):
        np.testing.assert_allclose(balanced.coefs_[0], other.coefs_[0], rtol=1e-4, atol=1e-5)
    assert not np.allclose(balanced.coefs_[0], classifier().fit(x, y).coefs_[0], rtol=1e-3)


# --- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "data"), [(classifier, (X, Y)), (regressor, (DX, DY))])
def test_two_warm_starts_are_one_training(kind: Any, data: Any) -> None:
    whole = kind(dropout=0.2).fit(*data)
    halves = kind(dropout=0.2, warm_start=True, epochs=2)
    halves.fit(*data).set_params(epochs=4).fit(*data)
    assert same_weights(whole, halves)
    assert halves.loss_curve_ == whole.loss_curve_
    assert (halves.n_iter_, halves.n_updates_) == (whole.n_iter_, whole.n_updates_)

    cold = kind(dropout=0.2, epochs=2).fit(*data).set_params(epochs=4).fit(*data)
    assert cold.n_iter_ == 4
    assert not same_weights(cold, whole), "the control"


@pytest.mark.parametrize(("kind", "data"), [(classifier, (X, Y)), (regressor, (DX, DY))])
def test_partial_fits_are_an_epoch_each(kind: Any, data: Any) -> None:
    whole, parts = kind().fit(*data), kind()
    classes = {"classes": np.unique(Y)} if kind is classifier else {}
    for _ in range(6):
        parts.partial_fit(*data, **classes)
    assert same_weights(whole, parts)
    assert (parts.n_iter_, parts.n_updates_, parts.loss_curve_) == (6, whole.n_updates_, whole.loss_curve_)


def test_partial_fits_take_parts_of_the_data_and_know_their_classes() -> None:
    model = classifier(epochs=1)
    for _ in range(40):
        for part in (slice(0, 60), slice(60, 100), slice(100, 150)):
            model.partial_fit(X[part], Y[part], classes=[0, 1, 2])
    assert model.n_updates_ == 40 * (2 + 2 + 2)
    assert model.score(X, Y) > 0.6
    model.fit(X, Y)
    assert model.n_iter_ == 1, "a fit begins anew"


def test_what_cannot_go_on_is_refused() -> None:
    with pytest.raises(ValueError, match="first call of partial_fit needs classes"):
        classifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="none of classes"):
        classifier().partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="not the same as in the first call"):
        classifier().partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="needs all samples at once"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="early_stopping has no effect"):
        classifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="the earlier fit"):
        classifier(warm_start=True).fit(X, Y).fit(X[:100], Y[:100])
    with pytest.raises(ValueError, match=r"other shapes.*warm_start=False"):
        classifier(warm_start=True).fit(X, Y).set_params(hidden_layer_sizes=9).fit(X, Y)
    with pytest.raises(ValueError, match="2 columns, but 1"):
        regressor().fit(DX, DY).partial_fit(DX, np.column_stack([DY, DY]))


# --- early stopping ---------------------------------------------------------------------------------------------------


def test_training_stops_when_the_score_is_no_longer_better_and_keeps_the_best() -> None:
    """Targets of noise: what is learned does not help, so the best epoch is an early one."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)), rng.normal(size=200)
    options = {"learning_rate": 0.05, "hidden_layer_sizes": 64, "epochs": 300}
    model = regressor(early_stopping=True, n_iter_no_change=7, validation_fraction=0.25, **options).fit(x, y)

    scores = np.array(model.validation_scores_)
    assert len(scores) == model.n_iter_ < 300
    assert model.best_validation_score_ == scores.max()
    assert int(np.argmax(scores)) == model.n_iter_ - 1 - 7, "7 epochs without a better one, the best before them"
    assert model.n_updates_ == model.n_iter_ * 5, "150 samples are trained on"

    best = regressor(early_stopping=True, validation_fraction=0.25, **options).set_params(
        epochs=int(np.argmax(scores)) + 1
    )
    assert same_weights(model, best.fit(x, y)), "its weights are those of the best epoch"


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["classification", "regression", "two targets"])
def test_validation_scores_are_those_of_score(kind: str, weighted: bool) -> None:
    """What is held out is known from the seed: scikit-learn's own function draws it."""
    from sklearn.model_selection import train_test_split

    x, y = (X, Y) if kind == "classification" else (DX, DY if kind == "regression" else np.column_stack([DY, DX[:, 0]]))
    weight = np.random.default_rng(1).uniform(0, 2, len(x))
    make = classifier if kind == "classification" else regressor
    model = make(early_stopping=True, validation_fraction=0.3).fit(x, y, sample_weight=weight if weighted else None)

    split = train_test_split(x, y, weight, test_size=0.3, random_state=0, stratify=y if make is classifier else None)
    expected = model.score(split[1], split[3], sample_weight=split[5] if weighted else None)
    assert model.best_validation_score_ == pytest.approx(expected, abs=1e-5)


# --- results ----------------------------------------------------------------------------------------------------------


def test_probabilities_decisions_and_labels_agree() -> None:
    model = classifier(epochs=30).fit(X, Y)
    probabilities, decisions = model.predict_proba(X), model.decision_function(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.log(probabilities), model.predict_log_proba(X), rtol=1e-6)
    assert probabilities.argmax(axis=1).tolist() == model.predict(X).tolist() == decisions.argmax(axis=1).tolist()
    assert model.score(X, Y) == accuracy_score(Y, model.predict(X))

    two = classifier().fit(X[:100], np.array(["b", "a"])[Y[:100]])
    decision = two.decision_function(X[:100])
    np.testing.assert_allclose(two.predict_proba(X[:100])[:, 1], 1 / (1 + np.exp(-decision)), rtol=1e-9)
    assert set(two.predict(X[:100])) == {"a", "b"}
    assert classifier().fit(X, np.zeros(150)).predict(X[:2]).tolist() == [0, 0], "a single class"


def test_several_targets_of_very_different_size_are_learned_alike() -> None:
    y = np.column_stack([1e6 * DY + 1e9, DY, 1e-6 * DY])
    model = regressor(epochs=60).fit(DX, y)
    assert model.predict(DX).shape == (len(DX), 3)
    assert np.min(r2_score(y, model.predict(DX), multioutput="raw_values")) > 0.4
    assert regressor().fit(DX, DY).predict(DX).shape == (len(DX),)
    assert model.n_outputs_ == 3


def test_inputs_of_any_size_are_learned_unless_they_are_taken_as_they_are() -> None:
    x = X * [1e6, 1e-6, 1, 1] + [1e9, 0, 0, -5]
    one, other = (classifier(epochs=30).fit(values, Y) for values in (X, x))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(x), atol=1e-2)
    plain = classifier(epochs=30, standardize=False).fit(X / 10, Y)
    np.testing.assert_allclose(plain._scaling.apply(X), X.astype(np.float32))
    assert not np.allclose(plain.predict_proba(X / 10), one.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.uint8, np.int64])
def test_types_of_samples(kind: Any) -> None:
    x = np.random.default_rng(0).integers(0, 255, (90, 6)).astype(kind)
    reference = classifier().fit(x.astype(float), Y[:90])
    np.testing.assert_allclose(classifier().fit(x, Y[:90]).predict_proba(x), reference.predict_proba(x), atol=1e-4)


@pytest.mark.slow
def test_pictures_for_a_convolutional_model() -> None:
    x = np.random.default_rng(0).normal(size=(40, 64))
    model = EpochalClassifier(model="cnn", sample_shape=(8, 8), epochs=1, random_state=0).fit(x, Y[40:80])
    assert model.predict_proba(x).shape == (40, 2)
    assert not hasattr(model, "coefs_")


def test_weights_count_in_the_scaling_and_constant_columns_stay() -> None:
    x = np.column_stack([np.arange(5.0), np.full(5, 0.1), np.full(5, 1e300)])
    scaling = Scaling.of(x, np.array([1.0, 0, 2, 0, 1]))
    np.testing.assert_allclose(scaling.shift[:2], [2, 0.1])
    np.testing.assert_allclose(scaling.scale[:2], [np.sqrt(2), 1])


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("hidden_layer_sizes", (0,), "whole numbers of at least 1"),
        ("model", "mpl", "one of linear, mlp"),
        ("dropout", 1.0, "below 1"),
        ("epochs", 0, "at least 1"),
        ("epochs", 2.5, "whole number"),
        ("batch_size", "some", "'all' for the whole training set"),
        ("batch_size", 0, "at least 1"),
        ("optimizer", "adm", "one of sgd"),
        ("learning_rate", -1, "above 0"),
        ("learning_rate", "constant", "above 0"),
        ("weight_decay", float("nan"), "at least 0"),
        ("momentum", 1, "below 1"),
        ("standardize", "yes", "True or False"),
        ("validation_fraction", 1.0, "below 1"),
        ("n_iter_no_change", 0, "at least 1"),
        ("tol", -1, "at least 0"),
        ("random_state", -1, "random_state must be 0"),
        ("sample_shape", (5,), "has 5 values, but X has 4 features"),
    ],
)
def test_parameters_out_of_range_are_named(name: str, value: Any, says: str) -> None:
    model = classifier().set_params(**{name: value})
    with pytest.raises(ValueError, match=says) as caught:
        model.fit(X, Y)
    assert isinstance(caught.value, EpochalError)
    assert name in str(caught.value)


def test_data_that_cannot_be_used() -> None:
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    with pytest.raises(ValueError, match=r"row 3 .* is -1"):
        classifier().fit(X, Y, sample_weight=np.where(np.arange(150) == 3, -1, 1))
    with pytest.raises(ValueError, match="all weights are zero"):
        regressor().fit(DX, DY, sample_weight=np.zeros(len(DX)))
    with pytest.warns(UserWarning, match="more than the 150 samples"):
        classifier(batch_size=151).fit(X, Y)
    with pytest.raises(ValueError, match=r"loss of epoch 1 is not finite; a smaller learning_rate .* \(it is 1e\+30\)"):
        regressor(optimizer="sgd", learning_rate=1e30).fit(DX, DY)


def test_a_fit_that_fails_leaves_no_fitted_estimator() -> None:
    model = regressor().fit(DX, DY).set_params(learning_rate=1e30, standardize=False)
    with pytest.raises(ValueError, match="not finite"):
        model.fit(1e6 * DX, DY)
    with pytest.raises(NotFittedError):
        model.predict(DX)


def test_every_parameter_is_documented() -> None:
    for kind in (EpochalClassifier, EpochalRegressor):
        text = kind.__doc__ or ""
        assert [name for name in kind().get_params() if f"        {name}: " not in text] == []
        assert "{parameters}" not in text
        assert max(map(len, text.splitlines())) <= 120
    assert set(PARAMETERS) | {"random_state"} == set(EpochalRegressor().get_params())
