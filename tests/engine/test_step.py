"""One iteration: the gradient of a batch is the mean over its samples, however the batch is split."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from workbench import batches_of, drive, engine_for, labelled, linear, noisy, numbered, output_itself

from epochal.clock import Plan, Position
from epochal.engine import Engine, Optimizer
from epochal.engine.feed import put_on_device
from epochal.engine.placement import in_one_piece
from epochal.engine.state import TRAINING_NOISE, State, purpose_key
from epochal.engine.step import BatchSpec, StepConfig, train_step
from epochal.models import Model

DATA = labelled()
RATE = 0.1


@cache
def engine_with(micro_batch: int | None, shards: int | None = None) -> Engine:
    """An engine compiles once for a batch size, so tests share it; an update moves the weights by RATE × gradient."""
    return engine_for(linear(), DATA, optimizer=optax.sgd(RATE), micro_batch=micro_batch, shards=shards)


Weights = dict[str, np.ndarray]


def by_hand(weights: Weights, indices: np.ndarray) -> tuple[float, Weights]:
    """The mean cross-entropy of these samples and its gradient, from the textbook's formula in double precision."""
    x, y = DATA.preprocessing(DATA.train.x[indices]).astype(np.float64), DATA.train.y[indices]
    scores = x @ weights["matrix"] + weights["bias"]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    picked = np.arange(len(y)), y
    loss = -np.log(shares[picked]).mean()
    shares[picked] -= 1
    return float(loss), {"bias": shares.mean(axis=0), "matrix": x.T @ shares / len(y)}


def initial_weights() -> Weights:
    params = engine_with(None).initial_state().params
    return {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}


def first_indices(count: int) -> np.ndarray:
    return engine_with(None).order.indices(0, 0, count)


def first_gradient(batch_size: int, micro_batch: int | None, shards: int | None) -> Weights:
    """The gradient that the engine used in its first iteration."""
    engine, before = engine_with(micro_batch, shards), initial_weights()
    state, _ = engine.run(engine.initial_state(), Position(), batch_size, 1)
    return {name: (before[name] - np.asarray(leaf)) / RATE for name, leaf in state.params.items()}


def mean_of_micro_batch_means(batch_size: int, micro_batch: int) -> Weights:
    """Wrong: divides by the number of micro-batches, as if each had the same size."""
    indices = first_indices(batch_size)
    parts = [indices[start : start + micro_batch] for start in range(0, batch_size, micro_batch)]
    gradients = [by_hand(initial_weights(), part)[1] for part in parts]
    return {name: np.mean([gradient[name] for gradient in gradients], axis=0) for name in gradients[0]}


def largest_difference(one: Weights, other: Any) -> float:
    return max(float(np.abs(one[name] - np.asarray(other[name])).max()) for name in one)


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "shards"),
    [
        (10, None, None),
        (10, 4, None),
        (10, 1, None),
        (103, None, None),
        (103, 20, None),
        (64, None, 2),
        (96, None, 3),
        (64, 7, 2),
    ],
)
def test_gradient_is_the_mean_over_the_batch(batch_size: int, micro_batch: int | None, shards: int | None) -> None:
    expected = by_hand(initial_weights(), first_indices(batch_size))[1]
    assert largest_difference(first_gradient(batch_size, micro_batch, shards), expected) < 1e-5


@pytest.mark.parametrize(("batch_size", "micro_batch"), [(10, 4), (10, 3), (10, 9), (103, 20), (103, 102)])
def test_dividing_by_the_number_of_micro_batches_would_be_seen(batch_size: int, micro_batch: int) -> None:
    wrong = mean_of_micro_batch_means(batch_size, micro_batch)
    assert largest_difference(wrong, by_hand(initial_weights(), first_indices(batch_size))[1]) > 1e-3


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_training_is_the_loop_that_anyone_would_write(micro_batch: int | None) -> None:
    """Two epochs of eleven batches, the last of three samples, and three batches more; losses before each update."""
    plan = Plan(len(DATA.train), 10, iterations=25)
    engine, weights, expected = engine_with(micro_batch), initial_weights(), []
    for indices in batches_of(plan, engine.order):
        loss, gradient = by_hand(weights, indices)
        weights = {name: weights[name] - RATE * gradient[name] for name in weights}
        expected.append(loss)
    state, losses, _ = drive(engine, plan)
    assert losses.tolist() == pytest.approx(expected, rel=1e-4)
    assert largest_difference(weights, state.params) < 1e-4


def test_optimizer_sees_one_gradient_a_batch_not_one_a_micro_batch() -> None:
    """A transformation that counts its calls: micro-batches are no iterations."""
    counting = optax.chain(optax.scale_by_schedule(lambda count: count + 1.0), optax.sgd(0.0))
    engine = engine_for(linear(), DATA, optimizer=counting, micro_batch=3)
    state, _, _ = drive(engine, Plan(len(DATA.train), 10, iterations=5))
    (count,) = (leaf for leaf in jax.tree.leaves(state.optimizer_state) if leaf.dtype == jnp.int32)
    assert int(count) == 5


def remembering() -> Model:
    """Its state counts the samples that it was trained on, and sums their numbers."""

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        if training:
            state = {"seen": state["seen"] + len(x), "sum": state["sum"] + x.sum()}
        return jnp.broadcast_to(params, (len(x), 1)), state

    return Model("remembering", lambda key: (jnp.float32(0), {"seen": jnp.int32(0), "sum": jnp.float32(0)}), apply)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_a_models_own_state_goes_through_every_sample_once(micro_batch: int | None) -> None:
    engine = engine_for(remembering(), numbered(12), loss=output_itself, micro_batch=micro_batch)
    state, _, _ = drive(engine, Plan(12, 4, epochs=2))
    assert jax.tree.map(float, state.model_state) == {"seen": 24.0, "sum": 132.0}


def test_micro_batches_of_one_batch_have_noise_of_their_own() -> None:
    """The batch's loss is the mean of its samples' noise here, and names the keys that the slices had."""
    engine = engine_for(noisy(), numbered(8), loss=output_itself, micro_batch=2)
    _, chunked = engine.run(engine.initial_state(), Position(), 8, 1)
    first_iteration = jax.random.fold_in(jax.random.fold_in(purpose_key(0, TRAINING_NOISE), 0), 0)
    slices = [jax.random.uniform(jax.random.fold_in(first_iteration, number), (2, 1)).mean() for number in range(4)]
    slices = [float(loss) for loss in slices]
    assert chunked.losses[0] == pytest.approx(np.mean(slices), rel=1e-5)
    assert chunked.losses[0] != pytest.approx(slices[0], rel=1e-2), "the control: one noise for all slices"


# --- weights of samples ---------------------------------------------------------------------------------------------


def weighted_step(weight: np.ndarray | None, batch_size: int, micro_batch: int) -> tuple[float, Weights]:
    """Loss and gradient of the first batch, by the train step alone, where samples have these weights."""
    engine = engine_with(None)
    feed = put_on_device(DATA.train, DATA)._replace(weight=None if weight is None else jnp.asarray(weight))
    optimizer = Optimizer(own=optax.sgd(1.0))
    config = StepConfig(
        engine.model, engine.task.losses, optimizer, engine.order, batch_size, micro_batch, in_one_piece()
    )
    batch = BatchSpec(engine.order.keys(0), jnp.uint32(0), jnp.float32(1), jnp.int32(1), None)
    state = State(engine.initial_state().params, (), optimizer.init(engine.initial_state().params))
    after, loss, _ = jax.jit(lambda state: train_step(config, feed, state, batch))(state)
    before = initial_weights()
    return float(loss), {name: before[name] - np.asarray(leaf) for name, leaf in after.params.items()}


@pytest.mark.parametrize("micro_batch", [10, 4])
def test_a_samples_weight_multiplies_its_loss_and_the_batch_size_divides(micro_batch: int) -> None:
    """Σ wᵢ·lᵢ / B: the sum of single samples' gradients, each by its weight."""
    weight = np.random.default_rng(3).uniform(0, 4, len(DATA.train)).astype(np.float32)
    indices = first_indices(10)
    single = [by_hand(initial_weights(), indices[i : i + 1]) for i in range(10)]
    loss, gradient = weighted_step(weight, 10, micro_batch)
    assert loss == pytest.approx(sum(w * one for w, (one, _) in zip(weight[indices], single, strict=True)) / 10)
    expected = {
        name: sum(w * g[name] for w, (_, g) in zip(weight[indices], single, strict=True)) / 10 for name in gradient
    }
    assert largest_difference(gradient, expected) < 1e-5
    unweighted = by_hand(initial_weights(), indices)[1]
    assert largest_difference(gradient, unweighted) > 1e-2, "the control: weights that are left out"


def test_a_weight_of_two_is_a_sample_twice_and_of_nothing_none() -> None:
    indices = first_indices(4)
    weight = np.ones(len(DATA.train), np.float32)
    weight[indices[0]], weight[indices[1]] = 2, 0
    _, gradient = weighted_step(weight, 4, 4)
    twice = by_hand(initial_weights(), indices[[0, 0, 2, 3]])[1]
    assert largest_difference(gradient, twice) < 1e-5


def test_weights_of_one_change_nothing() -> None:
    loss, gradient = weighted_step(None, 10, 10)
    same_loss, same = weighted_step(np.ones(len(DATA.train), np.float32), 10, 10)
    assert loss == same_loss
    assert largest_difference(gradient, same) == 0
