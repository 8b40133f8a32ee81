"""Losses anywhere on a plane of weight space, against evaluations of those weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from workbench import engine_for, labelled, linear

from epochal.engine import Engine, State
from epochal.engine.loss_surface import LossSurface, Subspace
from epochal.errors import ModelError
from epochal.models import from_functions


def engine_on(samples: int, model: Any = None) -> Engine:
    return engine_for(model or linear(), labelled(samples))


def subspace_around(engine: Engine) -> Subspace:
    origin = engine.initial_state().params
    return Subspace(origin, jax.tree.map(lambda a: jnp.stack([jnp.ones_like(a), jnp.cos(a)]), origin))


@pytest.mark.parametrize("samples", [103, 1000, 2350])  # under one slice, just one, two and a smaller last one
def test_each_point_has_the_loss_of_an_evaluation_there(samples: int) -> None:
    engine = engine_on(samples)
    subspace = subspace_around(engine)
    points = np.random.default_rng(0).normal(size=(35, 2))  # more than are computed at once
    surface = LossSurface(engine, engine.data.train)
    losses = np.concatenate(list(surface.losses(subspace, points)))
    assert losses.shape == (35,)
    for point, loss in zip(points[::17], losses[::17], strict=True):
        params = jax.tree.map(lambda o, d, p=point: o + p[0] * d[0] + p[1] * d[1], subspace.origin, subspace.directions)
        state = State(params, (), ())
        assert loss == pytest.approx(engine.evaluate(state, engine.data.train).loss, rel=1e-5)
        assert loss == pytest.approx(surface.loss(params), rel=1e-5)


def test_each_sample_counts_once_in_a_smaller_last_slice() -> None:
    """The negative control: a mean of slice means would weigh the last 350 samples as much as 1,000."""
    engine = engine_on(2350)
    surface = LossSurface(engine, engine.data.train)
    x, y = np.asarray(engine.data.train.x), engine.data.train.y
    params = engine.initial_state().params
    scores = engine.data.preprocessing(x) @ np.asarray(params["matrix"]) + np.asarray(params["bias"])
    each = np.asarray(optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(scores), jnp.asarray(y)))
    (losses,) = surface.losses(subspace_around(engine), np.zeros((1, 2)))
    assert losses[0] == pytest.approx(each.mean(dtype=np.float64), rel=1e-5)
    of_means = np.mean([each[:1000].mean(), each[1000:2000].mean(), each[2000:].mean()])
    assert losses[0] != pytest.approx(of_means, rel=1e-4)


def test_a_model_whose_loss_is_no_function_of_its_weights_is_refused() -> None:
    def apply(params: Any, state: Any, x: Any, training: bool) -> Any:
        return x @ params - state, state

    model = from_functions(lambda key: (jnp.ones((4, 3)), jnp.zeros(3)), apply, name="stateful", has_state=True)
    engine = engine_on(20, model)
    with pytest.raises(ModelError, match="'stateful' keeps a state beside its weights"):
        LossSurface(engine, engine.data.train)
