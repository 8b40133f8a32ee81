"""Metrics against scikit-learn's figures, over slices of any size, and one that is defined outside the package."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import reduce
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from workbench import engine_for, labelled, linear, numbered

from epochal.engine import METRICS, Metric, build_task
from epochal.engine.evaluation import _widen
from epochal.engine.metrics import choose_metrics
from epochal.errors import ModelError, OptionError

CUTS: list[list[int]] = [[], [10], [10, 20, 30], [1, 11]]  # few lengths, since each is compiled
CLASSES = ("a", "b", "c", "d", "e", "f", "g")


def measure(metric: Metric, outputs: np.ndarray, targets: np.ndarray, cuts: list[int]) -> Any:
    """The figure from slices that end at these places and at the end, as the engine would merge them."""
    edges = sorted({0, *(cut for cut in cuts if cut < len(targets)), len(targets)})
    slices = [(jnp.asarray(outputs[a:b]), jnp.asarray(targets[a:b])) for a, b in pairwise(edges)]
    parts = [jax.tree.map(_widen, metric.of(*one)) for one in slices]
    return metric.compute(reduce(metric.merge, parts, metric.empty))


@st.composite
def classified(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Outputs of up to 7 classes with many ties, targets in which classes may be absent, and where to cut."""
    n, k = draw(st.sampled_from([1, 2, 13, 31])), draw(st.sampled_from([2, 3, 7]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    outputs = random.integers(-2, 3, (n, k)).astype(np.float32) * draw(st.sampled_from([0.5, 1.0, 20.0]))
    targets = random.integers(0, draw(st.integers(1, k)), n).astype(np.int32)
    return outputs, targets, draw(st.sampled_from(CUTS))


def by_scikit_learn(name: str, outputs: np.ndarray, targets: np.ndarray) -> Any:
    k, predicted = outputs.shape[1], outputs.argmax(axis=1)
    shares = softmax(outputs.astype(np.float64), axis=1)
    match name:
        case "accuracy":
            return reference.accuracy_score(targets, predicted)
        case "top-5-accuracy":  # of equal scores, scikit-learn takes the last ones: here, classes are counted backwards
            scores, labels = outputs[:, ::-1], np.arange(k)
            backwards = [k - 1 - targets, scores if k > 2 else scores[:, 1] - scores[:, 0]]
            return reference.top_k_accuracy_score(*backwards, k=5, labels=labels) if k > 5 else 1.0
        case "precision" | "recall" | "f1":
            figure = {
                "precision": reference.precision_score,
                "recall": reference.recall_score,
                "f1": reference.f1_score,
            }
            each = figure[name](targets, predicted, labels=np.arange(k), average=None, zero_division=0)
            macro = figure[name](targets, predicted, average="macro", zero_division=0)
            return {name: macro} | {f"{name}/{label}": value for label, value in zip(CLASSES, each, strict=False)}
        case "balanced-accuracy":
            return reference.balanced_accuracy_score(targets, predicted)
        case "log-loss":
            return reference.log_loss(targets, shares, labels=np.arange(k))
    raise AssertionError(name)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize(
    "name", ["accuracy", "top-5-accuracy", "precision", "recall", "f1", "balanced-accuracy", "log-loss"]
)
@given(case=classified())
def test_figures_of_classes_are_scikit_learns(name: str, case: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    outputs, targets, cuts = case
    if name == "log-loss":
        outputs = outputs.clip(-9, 9)  # scikit-learn takes no probability below 2⁻⁵² for what it is
    metric = METRICS[name].for_classes(CLASSES[: outputs.shape[1]])
    assert measure(metric, outputs, targets, cuts) == pytest.approx(
        by_scikit_learn(name, outputs, targets), rel=1e-5, abs=1e-6
    )


@given(case=classified())
def test_area_under_the_curve_is_scikit_learns(case: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    outputs, targets, cuts = case
    k = outputs.shape[1]
    area = measure(METRICS["roc-auc"], outputs, targets, cuts)
    if len(np.unique(targets)) < 2:
        assert math.isnan(area)
        return
    shares = softmax(outputs.astype(np.float64), axis=1)
    if k == 2:
        assert area == pytest.approx(reference.roc_auc_score(targets, outputs[:, 1] - outputs[:, 0]))
    elif len(np.unique(targets)) == k:
        assert area == pytest.approx(reference.roc_auc_score(targets, shares, multi_class="ovr"))
    else:
        areas = [reference.roc_auc_score(targets == number, shares[:, number]) for number in np.unique(targets)]
        assert area == pytest.approx(np.mean(areas)), "absent classes are left out"


def test_an_area_of_outputs_that_are_not_finite_is_no_number() -> None:
    outputs = np.array([[0, math.nan], [1, 0]], np.float32)
    assert math.isnan(measure(METRICS["roc-auc"], outputs, np.array([0, 1], np.int32), []))


def test_probabilities_that_round_to_one_do_not_tie() -> None:
    """The control: as float32 probabilities, the outputs 30 and 40 are both 1, and the area would be 0.5."""
    outputs, targets = np.array([[0, 30], [0, 40]], np.float32), np.array([0, 1], np.int32)
    assert measure(METRICS["roc-auc"], outputs, targets, []) == 1
    assert len(np.unique(np.asarray(jax.nn.softmax(outputs))[:, 1])) == 1


@st.composite
def predicted(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Outputs near targets that may lie far from 0, of one number or several."""
    n, k = draw(st.sampled_from([2, 13, 31])), draw(st.integers(1, 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    offset = draw(st.sampled_from([0.0, -7.0, 1e4, 1e6]))
    targets = (random.normal(size=(n, k)) * draw(st.sampled_from([1.0, 30.0])) + offset).astype(np.float32)
    outputs = (targets + random.normal(size=(n, k))).astype(np.float32)
    flat = k == 1 and draw(st.booleans())
    return outputs, targets[:, 0] if flat else targets, draw(st.sampled_from(CUTS))


@pytest.mark.parametrize("name", ["mse", "rmse", "mae", "r2"])
@given(case=predicted())
def test_figures_of_numbers_are_scikit_learns(name: str, case: tuple[np.ndarray, np.ndarray, list[int]]) -> None:
    outputs, targets, cuts = case
    figure = {
        "mse": reference.mean_squared_error,
        "rmse": reference.root_mean_squared_error,
        "mae": reference.mean_absolute_error,
        "r2": reference.r2_score,
    }[name]
    exact = figure(targets.astype(np.float64), outputs.reshape(targets.shape).astype(np.float64))
    assert measure(METRICS[name], outputs, targets, cuts) == pytest.approx(exact, rel=1e-4, abs=1e-4)


def test_the_textbooks_sum_of_squares_would_lose_r2() -> None:
    """The control: Σy² - (Σy)²/n in float32 has nothing left of targets a million away from 0."""
    random = np.random.default_rng(0)
    targets = (1e6 + random.normal(size=(2_000, 1))).astype(np.float32)
    outputs = (targets + 0.5 * random.normal(size=targets.shape)).astype(np.float32)
    exact = reference.r2_score(targets.astype(np.float64), outputs.astype(np.float64))
    assert measure(METRICS["r2"], outputs, targets, [1_000]) == pytest.approx(exact, rel=1e-4)
    variance = np.square(targets).sum(dtype=np.float32) - np.square(targets.sum(dtype=np.float32)) / np.float32(2_000)
    assert abs(variance / 2_000 - 1) > 0.5


@pytest.mark.parametrize(("outputs", "figure"), [([3.1] * 5, 1.0), ([3.1, 3.1, 3.1, 3.1, 4.0], 0.0)])
def test_r2_of_targets_that_are_all_alike_is_one_or_nothing(outputs: list[float], figure: float) -> None:
    targets = np.full(5, 3.1, np.float32)
    assert measure(METRICS["r2"], np.array(outputs, np.float32)[:, None], targets, [2]) == figure
    assert reference.r2_score(targets, np.array(outputs, np.float32)) == figure


def test_r2_of_one_sample_is_no_number() -> None:
    one = np.ones((1, 1), np.float32)
    assert math.isnan(measure(METRICS["r2"], one, one[:, 0], []))


# --- in an evaluation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [9, 10, 11, 23])
def test_an_evaluation_has_all_figures_the_loss_first(n: int) -> None:
    names = ["f1", "accuracy", "roc-auc"]
    engine = engine_for(linear(), labelled(30, test=n), metrics=names, slice_size=10)
    state = engine.initial_state()
    result = engine.evaluate(state, engine.data.test)
    assert list(result.values) == ["loss", "f1", "f1/a", "f1/b", "f1/c", "accuracy", "roc-auc"]
    assert (result.loss, result.accuracy) == (result.values["loss"], result.values["accuracy"])

    outputs, targets = engine.predict(state, engine.data.test), engine.data.test.y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert result.accuracy == reference.accuracy_score(targets, outputs.argmax(axis=1))
        assert result.values["f1"] == pytest.approx(
            reference.f1_score(targets, outputs.argmax(axis=1), average="macro")
        )


def test_each_kind_of_task_has_its_usual_metrics() -> None:
    assert [metric.name for metric in build_task(labelled()).metrics] == ["accuracy"]
    assert [metric.name for metric in build_task(numbered(5)).metrics] == ["rmse", "mae", "r2"]
    assert build_task(labelled(), metrics=[]).metrics == ()


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_of_one_kind_of_task_and_says_which_way_is_better(name: str) -> None:
    metric = METRICS[name]
    (kind,) = metric.kinds
    assert [one.name for one in choose_metrics([name.replace("-", "_")], kind)] == [name]
    assert metric.higher_is_better is (name not in ("log-loss", "mse", "rmse", "mae"))
    assert hash(METRICS[name].for_classes(("x", "y"))) == hash(metric), "names of classes change no program"


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown metric 'acuracy': did you mean 'accuracy'"):
        build_task(labelled(), metrics=["acuracy"])
    with pytest.raises(ModelError, match="metric 'accuracy' does not fit a regression; take one of: mse, rmse"):
        build_task(numbered(5), metrics=["accuracy"])
    with pytest.raises(OptionError, match="metric 'r2' is given twice"):
        build_task(numbered(5), metrics=["r2", "mae", "r2"])


# --- one's own ------------------------------------------------------------------------------------------------------


class Spread(Metric):
    """The widest range of outputs of any sample, and the mean one: two figures, and a merge that is no sum."""

    name = "spread"
    empty = (-math.inf, 0.0, 0)

    def of(self, outputs: Any, targets: Any) -> Any:
        spread = outputs.max(axis=1) - outputs.min(axis=1)
        return spread.max(), spread.sum(), len(spread)

    def merge(self, one: Any, other: Any) -> Any:
        return max(one[0], other[0]), one[1] + other[1], one[2] + other[2]

    def compute(self, sums: Any) -> Mapping[str, float]:
        return {"spread/widest": float(sums[0]), "spread/mean": float(sums[1] / sums[2])}


def test_a_metric_of_ones_own_is_one_class() -> None:
    engine = engine_for(linear(), labelled(30, test=23), metrics=["accuracy", Spread()], slice_size=10)
    state = engine.initial_state()
    result = engine.evaluate(state, engine.data.test)
    spread = np.ptp(engine.predict(state, engine.data.test), axis=1)
    assert list(result.values) == ["loss", "accuracy", "spread/widest", "spread/mean"]
    assert result.values["spread/widest"] == pytest.approx(spread.max())
    assert result.values["spread/mean"] == pytest.approx(spread.mean())


def test_a_metric_of_ones_own_that_does_not_fit_is_refused_before_anything_is_compiled() -> None:
    class Wrong(Spread):
        def of(self, outputs: Any, targets: Any) -> Any:
            return outputs @ jnp.zeros((2, 1))

    with pytest.raises(ModelError, match=r"metric 'spread' does not fit outputs of shape \(2, 3\) and targets of sh"):
        engine_for(linear(), labelled(), metrics=[Wrong()]).count_parameters()
