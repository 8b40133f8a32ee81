"""Losses anywhere on a plane of weight space, against evaluations of those weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from workbench import labelled, linear

from epochal.engine import Engine, State, build_objective
from epochal.engine.surface import Flat, Surveyor
from epochal.errors import ModelError
from epochal.models import from_functions
from epochal.order import Order


def engine_on(samples: int, model: Any = None) -> Engine:
    data = labelled(samples)
    objective = build_objective(None, "classification")
    return Engine(model or linear(), data, objective, optax.sgd(0.1), Order(samples))


def flat_around(engine: Engine) -> Flat:
    origin = engine.initial_state().params
    return Flat(origin, jax.tree.map(lambda a: jnp.stack([jnp.ones_like(a), jnp.cos(a)]), origin))


@pytest.mark.parametrize("samples", [103, 1000, 2350])  # under one slice, just one, two and a smaller last one
def test_each_point_has_the_loss_of_an_evaluation_there(samples: int) -> None:
    engine = engine_on(samples)
    flat = flat_around(engine)
    points = np.random.default_rng(0).normal(size=(35, 2))  # more than are computed at once
    surveyor = Surveyor(engine, engine.data.train)
    losses = np.concatenate(list(surveyor.losses(flat, points)))
    assert losses.shape == (35,)
    for point, loss in zip(points[::17], losses[::17], strict=True):
        params = jax.tree.map(lambda o, d, p=point: o + p[0] * d[0] + p[1] * d[1], flat.origin, flat.directions)
        state = State(params, (), ())
        assert loss == pytest.approx(engine.evaluate(state, engine.data.train).loss, rel=1e-5)
        assert loss == pytest.approx(surveyor.loss(params), rel=1e-5)


def test_each_sample_counts_once_in_a_smaller_last_slice() -> None:
    """The negative control: a mean of slice means would weigh the last 350 samples as much as 1,000."""
    engine = engine_on(2350)
    surveyor = Surveyor(engine, engine.data.train)
    x, y = np.asarray(engine.data.train.x), engine.data.train.y
    params = engine.initial_state().params
    scores = engine.data.recipe(x) @ np.asarray(params["matrix"]) + np.asarray(params["bias"])
    each = np.asarray(optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(scores), jnp.asarray(y)))
    (losses,) = surveyor.losses(flat_around(engine), np.zeros((1, 2)))
    assert losses[0] == pytest.approx(each.mean(dtype=np.float64), rel=1e-5)
    of_means = np.mean([each[:1000].mean(), each[1000:2000].mean(), each[2000:].mean()])
    assert losses[0] != pytest.approx(of_means, rel=1e-4)


def test_a_model_whose_loss_is_no_function_of_its_weights_is_refused() -> None:
    def apply(params: Any, state: Any, x: Any, training: bool) -> Any:
        return x @ params - state, state

    model = from_functions(lambda key: (jnp.ones((4, 3)), jnp.zeros(3)), apply, name="stateful", has_state=True)
    engine = engine_on(20, model)
    with pytest.raises(ModelError, match="'stateful' keeps a state beside its weights"):
        Surveyor(engine, engine.data.train)
