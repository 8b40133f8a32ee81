"""The user's own pair of functions becomes a model, in the simplest form and with state, a key, or both."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from epochal.errors import ModelError
from epochal.models import from_functions

KEY = jax.random.key(0)
X = jnp.arange(6.0).reshape(3, 2)


def test_two_plain_functions() -> None:
    model = from_functions(lambda key: 2.0, lambda params, x: params * x)
    params, state = model.init(KEY)
    outputs, after = model.apply(params, state, X, None, True)
    assert (model.name, model.needs_rng, model.uses_batch_statistics, state, after) == ("custom", False, False, (), ())
    assert outputs.tolist() == (2 * X).tolist()


def test_a_state_goes_in_and_comes_out() -> None:
    def apply(params: float, seen: int, x: Array, training: bool) -> tuple[Array, int]:
        return params * x, seen + len(x) if training else seen

    model = from_functions(lambda key: (2.0, 0), apply, name="counter", has_state=True, uses_batch_statistics=True)
    params, state = model.init(KEY)
    assert model.uses_batch_statistics
    assert model.apply(params, state, X, None, True)[1] == 3
    assert model.apply(params, state, X, None, False)[1] == 0


def test_a_random_model_gets_its_key_while_training_and_none_else() -> None:
    model = from_functions(lambda key: 2.0, lambda params, x, key: x if key is None else params * x, needs_rng=True)
    assert model.needs_rng
    assert model.apply(2.0, (), X, KEY, True)[0].tolist() == (2 * X).tolist()
    assert model.apply(2.0, (), X, KEY, False)[0].tolist() == X.tolist()


def test_state_and_key_together() -> None:
    def apply(params: float, state: int, x: Array, training: bool, key: Array | None) -> tuple[Array, int]:
        return x, state + (key is not None)

    model = from_functions(lambda key: (2.0, 0), apply, has_state=True, needs_rng=True)
    assert model.apply(2.0, 0, X, KEY, True)[1] == 1


def test_a_function_that_forgets_the_state_is_told_so() -> None:
    model = from_functions(lambda key: 2.0, lambda params, state, x, training: x, name="mine", has_state=True)
    with pytest.raises(ModelError, match=r"init of model 'mine' must return \(params, state\)"):
        model.init(KEY)
    with pytest.raises(ModelError, match=r"apply of model 'mine' must return \(outputs, state\)"):
        model.apply(2.0, 0, X, None, True)


def test_former_names_of_a_models_properties_still_work() -> None:
    model = from_functions(lambda key: 1.0, lambda params, x, key: x, random=True, couples_samples=True)
    assert (model.needs_rng, model.uses_batch_statistics) == (True, True)
