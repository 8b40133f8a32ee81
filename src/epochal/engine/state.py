"""The state of training: all that an iteration changes, and its fingerprint."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree, Shaped

from epochal.engine.optimizer import Optimizer
from epochal.errors import EpochalError, ModelError, OptionError
from epochal.models import Model

Params: TypeAlias = PyTree[jax.Array]


class State(NamedTuple):
    """What one iteration turns into the next: a pytree of device arrays.

    The position is not in it: it advances on the host, once, after the iterations that it counts have run.
    """

    params: Params
    model_state: PyTree[Any]
    optimizer_state: optax.OptState


def purpose_key(seed: int, purpose: int) -> jax.Array:
    """Return a random key that is a pure function of seed (below 2⁶⁴) and purpose."""
    return key_of_words((seed & 0xFFFFFFFF, seed >> 32), purpose)


def key_of_words(seed: tuple[Any, Any], purpose: int) -> jax.Array:
    """Return `purpose_key` for the lower and the upper 32 bits of a seed, also within a compiled function."""
    key = jax.random.key(seed[0])
    for word in (seed[1], purpose):
        key = jax.random.fold_in(key, word)
    return key


INITIAL_WEIGHTS, TRAINING_NOISE, NOISE_PROBES = 1, 2, 3


def initial_state(model: Model, optimizer: Optimizer, seed: int, *, is_checked: bool = False) -> State:
    """Return the state before the first iteration, a pure function of model, optimizer and seed.

    Its arrays are its own: training overwrites them, so that none may be somebody else's, or lie in two places.
    ``is_checked`` says that model and optimizer are known for that, so that nothing is copied. Raises `ModelError` or
    `OptionError` for what is no array of numbers, and for weights that cannot be trained.
    """
    params, model_state = model.init(purpose_key(seed, INITIAL_WEIGHTS))
    if is_checked:
        return State(params, model_state, optimizer.init(params))

    params = own_arrays(params, f"params of model '{model.name}'", ModelError)
    check_weights(params, model.name)
    model_state = own_arrays(model_state, f"state of model '{model.name}'", ModelError)

    try:
        begun = optimizer.init(params)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise OptionError(
            f"the optimizer cannot begin with the weights of model '{model.name}': {first_line}"
        ) from error
    return State(params, model_state, own_arrays(begun, "state of the optimizer", OptionError))


def own_arrays(tree: PyTree[Any], what: str, error: type[EpochalError]) -> PyTree[jax.Array]:
    """Return the tree with a copy of each array, numbers and NumPy's arrays included; ``error`` for anything else."""

    def own(path: tuple[Any, ...], leaf: Any) -> jax.Array:
        place = f"{what} hold" + (f" in {jax.tree_util.keystr(path)}" if path else "")
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)):
            raise error(f"{place} {leaf!r:.40}, a {type(leaf).__name__}; they must be arrays of numbers")
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise error(f"{place} random keys, which no checkpoint can store; store jax.random.key_data of them")
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind in "OSUMm":
            raise error(f"{place} values of type {leaf.dtype}; they must be arrays of numbers")
        return jnp.array(leaf, dtype=jnp.result_type(leaf), copy=True)

    return jax.tree_util.tree_map_with_path(own, tree)


def check_weights(params: Params, name: str) -> None:
    """Raise `ModelError` where a model has no weights, or some that no gradient can change."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    if not leaves:
        raise ModelError(f"model '{name}' has no weights to train: its params hold no array")
    for path, leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise ModelError(
                f"params of model '{name}' hold {leaf.dtype} in {jax.tree_util.keystr(path) or 'params'}, which no "
                "gradient can change; weights are floating-point numbers (keep others in the state: has_state=True)"
            )


def named_leaves(tree: PyTree[Any]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the tree's arrays on the host by their path, in the tree's fixed order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
