"""The sharpness-weighted noise scale, against Hessians and covariances that are written out as matrices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from workbench import constant, engine_for, labelled, linear, numbered

from epochal.engine import Engine, State, sharpness
from epochal.engine.compile import Programs
from epochal.engine.sharpness import measure_sharpness
from epochal.gradient_noise import Sharpness


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_for(linear(), labelled(n=103))


def exact(engine: Engine, state: State) -> tuple[float, float]:
    """tr(HΣ) and GᵀHG from the whole matrices."""
    scaling = engine.data.preprocessing
    x = (jnp.asarray(engine.data.train.x, jnp.float32) - scaling.shift) * scaling.scale
    flat, restore = ravel_pytree(state.params)

    def losses(weights: jax.Array) -> jax.Array:
        outputs, _ = engine.model.apply(restore(weights), (), x, None, False)
        return engine.task.training_losses(outputs, jnp.asarray(engine.data.train.y))

    each = np.asarray(jax.jacobian(losses)(flat), np.float64)
    hessian = np.asarray(jax.hessian(lambda weights: losses(weights).mean())(flat), np.float64)
    mean = each.mean(0)
    return float(np.trace(hessian @ np.cov(each.T, ddof=0))), float(mean @ hessian @ mean)


def test_probes_come_near_the_matrices_within_their_error(engine: Engine) -> None:
    state = engine.initial_state()
    trace, curvature = exact(engine, state)
    found = [measure_sharpness(engine, state, seed) for seed in range(4)]
    for one in found:
        assert one.curvature == pytest.approx(curvature, rel=1e-3)
        assert one.trace == pytest.approx(trace, abs=4 * one.trace_error)
    assert np.mean([one.trace for one in found]) == pytest.approx(trace, rel=0.2)


def test_what_all_gradients_share_is_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where the signs' mean is kept, samples of equal gradients seem to have noise."""

    def squared(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return (outputs[:, 0] - 3) ** 2

    def measure() -> Sharpness:
        engine = engine_for(constant(), numbered(50), loss=squared, programs=Programs())
        return measure_sharpness(engine, engine.initial_state())

    assert measure().trace == pytest.approx(0, abs=1e-6)
    assert measure().curvature == pytest.approx(6 * 2 * 6)
    monkeypatch.setattr(sharpness, "_centred", lambda signs: signs)
    assert measure().trace > 20


def test_the_same_seed_gives_the_same_numbers_and_nothing_changes(engine: Engine) -> None:
    state = engine.initial_state()
    before = jax.tree.map(np.array, state.params)
    assert measure_sharpness(engine, state, 3) == measure_sharpness(engine, state, 3)
    assert measure_sharpness(engine, state, 3) != measure_sharpness(engine, state, 4)
    assert jax.tree.all(jax.tree.map(np.array_equal, before, state.params))
