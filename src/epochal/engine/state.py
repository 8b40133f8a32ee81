"""The state of training: all that an iteration changes, and its fingerprint."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
import optax
from jaxtyping import PyTree, Shaped

from epochal.engine.optimizer import Optimizer
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
    key = jax.random.key(seed & 0xFFFFFFFF)
    for word in (seed >> 32, purpose):
        key = jax.random.fold_in(key, word)
    return key


INITIAL_WEIGHTS, TRAINING_NOISE = 1, 2


def initial_state(model: Model, optimizer: Optimizer, seed: int) -> State:
    """Return the state before the first iteration, a pure function of model, optimizer and seed."""
    params, model_state = model.init(purpose_key(seed, INITIAL_WEIGHTS))
    return State(params, model_state, optimizer.init(params))


def named_leaves(tree: PyTree[Any]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the tree's arrays on the host by their path, in the tree's fixed order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
