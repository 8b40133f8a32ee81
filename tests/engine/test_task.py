"""A task: its shapes, and its loss; a loss for each sample, by formulas that are written here once more."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from workbench import engine_for, labelled, linear, numbered

from epochal.clock import Position
from epochal.engine import build_task
from epochal.errors import ModelError, OptionError

DATA = {"classification": labelled(), "regression": numbered(5)}
OUTPUTS = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 4.0]], np.float32)


def losses_of(loss: Any, task: Any, outputs: np.ndarray, targets: Any) -> list[float]:
    return build_task(DATA[task], loss).losses(jnp.asarray(outputs), jnp.asarray(targets)).tolist()


def test_cross_entropy_is_minus_the_log_of_the_right_classs_share() -> None:
    shares = np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(axis=1, keepdims=True)
    expected = [-np.log(shares[0, 2]), -np.log(shares[1, 0])]
    assert losses_of("cross-entropy", "classification", OUTPUTS, [2, 0]) == pytest.approx(expected, rel=1e-5)


def test_squared_error_of_classes_compares_with_one_and_zeros() -> None:
    expected = [np.mean((OUTPUTS[0] - [0, 0, 1]) ** 2), np.mean((OUTPUTS[1] - [1, 0, 0]) ** 2)]
    assert losses_of("mean-squared-error", "classification", OUTPUTS, [2, 0]) == pytest.approx(expected)


def test_squared_error_is_the_mean_over_a_samples_outputs() -> None:
    targets = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 2.0]], np.float32)
    assert losses_of("mean-squared-error", "regression", OUTPUTS, targets) == pytest.approx([5 / 3, 5 / 3])


def test_squared_error_of_one_output_does_not_compare_all_samples_with_all_targets() -> None:
    """Outputs (b, 1) minus targets (b,) would be a (b, b) table, and its mean a plausible number."""
    outputs, targets = np.array([[1.0], [2.0], [3.0]], np.float32), np.array([1.0, 2.0, 5.0], np.float32)
    assert losses_of("mean-squared-error", "regression", outputs, targets) == [0.0, 0.0, 4.0]
    assert float(np.mean((outputs - targets) ** 2)) != pytest.approx(4 / 3), "the control: the table's mean"


@pytest.mark.parametrize(("task", "name"), [("classification", "cross-entropy"), ("regression", "mean-squared-error")])
def test_each_task_has_its_usual_loss(task: Any, name: str) -> None:
    assert (build_task(DATA[task]).loss, build_task(DATA[task]).kind) == (name, task)


def test_cross_entropy_needs_classes() -> None:
    with pytest.raises(ModelError, match=r"cross-entropy needs class labels, .* use mean-squared-error"):
        build_task(DATA["regression"], "cross-entropy")


def test_label_smoothing_divides_a_share_of_the_target_equally() -> None:
    log_shares = np.log(np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(axis=1, keepdims=True))
    smoothed = 0.7 * np.eye(3)[[2, 0]] + 0.1
    task = build_task(DATA["classification"], label_smoothing=0.3)
    losses = task.training_losses(jnp.asarray(OUTPUTS), jnp.asarray([2, 0]))
    assert losses.tolist() == pytest.approx((-(smoothed * log_shares).sum(axis=1)).tolist(), rel=1e-5)


def test_label_smoothing_changes_training_alone_and_equal_shares_equal_programs() -> None:
    task, plain = build_task(DATA["classification"], label_smoothing=0.3), build_task(DATA["classification"])
    assert task.losses is plain.losses is plain.training_losses
    assert build_task(DATA["classification"], label_smoothing=0.0).training_losses is plain.losses
    assert task.training_losses == build_task(DATA["classification"], label_smoothing=0.3).training_losses
    assert task.training_losses != build_task(DATA["classification"], label_smoothing=0.2).training_losses


@pytest.mark.parametrize(
    ("task", "loss", "name"),
    [
        ("classification", "mean-squared-error", "mean-squared-error"),
        ("regression", None, "mean-squared-error"),
        ("classification", lambda outputs, targets: outputs[:, 0], "<lambda>"),
    ],
)
def test_label_smoothing_is_for_cross_entropy_alone(task: Any, loss: Any, name: str) -> None:
    with pytest.raises(OptionError, match=f"label_smoothing has no effect with the loss {name}"):
        build_task(DATA[task], loss, label_smoothing=0.1)


def test_unknown_loss_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="unknown loss 'cross-entrpy': did you mean 'cross-entropy'"):
        build_task(DATA["classification"], "cross-entrpy")


def absolute_error(outputs: Any, targets: Any) -> Any:
    return jnp.abs(outputs[:, 0] - targets)


def test_ones_own_loss_is_used_and_named() -> None:
    task = build_task(DATA["regression"], absolute_error)
    assert task.loss == "absolute_error"
    assert task.losses(jnp.array([[1.0], [2.0]]), jnp.array([3.0, 2.0])).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("shape", ["mean", "column"])
def test_a_loss_that_averages_over_the_batch_is_refused(shape: str) -> None:
    """The engine takes the mean itself, so that a batch can be split."""

    def averaged(outputs: Any, targets: Any) -> Any:
        error = jnp.square(outputs[:, 0] - targets)
        return error.mean() if shape == "mean" else error[:, None]

    engine = engine_for(linear(1, 1), numbered(5), loss=averaged)
    with pytest.raises(ModelError, match=r"the loss returned shape .*; return one loss a sample, shape \(2,\)"):
        engine.initial_state()


def test_a_loss_that_does_not_fit_is_refused_before_anything_is_compiled() -> None:
    def two_outputs(outputs: Any, targets: Any) -> Any:
        return outputs @ jnp.zeros((2, 1)) - targets

    with pytest.raises(ModelError, match=r"loss 'two_outputs' does not fit outputs of shape \(2, 1\)"):
        engine_for(linear(1, 1), numbered(5), loss=two_outputs).count_parameters()


def test_training_lowers_each_loss() -> None:
    for data, outputs in ((labelled(30), 3), (numbered(5), 1)):
        engine = engine_for(linear(data.sample_shape[0], outputs), data, loss="mean-squared-error")
        n = len(data.train)
        state, losses = engine.initial_state(), []
        for epoch in range(5):
            state, chunked = engine.run(state, Position(epoch, epoch, 0), n, 1)
            losses += chunked.losses.tolist()
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]
