"""The few layers that the built-in models share."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from epochal.errors import ModelError
from epochal.models.model import Key

Dense = dict[str, Array]


def init_dense(key: Key, inputs: int, outputs: int, *, gain: float = 2.0) -> Dense:
    """Return weights ``(inputs, outputs)``, normal with variance gain / inputs, and biases of 0.

    A gain of 2 suits layers followed by a ReLU (He et al. 2015), 1 those followed by nothing or tanh (LeCun 1998).
    """
    weights = jax.random.normal(key, (inputs, outputs)) * math.sqrt(gain / inputs)
    return {"weights": weights, "bias": jnp.zeros(outputs)}


def dense(layer: Dense, x: Float[Array, "batch inputs"]) -> Float[Array, "batch outputs"]:
    """Return ``x @ weights + bias``."""
    return x @ layer["weights"] + layer["bias"]


def drop_out(x: Array, rate: float, key: Key | None) -> Array:
    """Set a share ``rate`` of values to 0 and scale the rest up (Srivastava et al. 2014); nothing without a key."""
    if key is None or not rate:
        return x
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0)


def check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    """Raise `ModelError` unless there are sizes and each is a whole number of at least 1."""
    if not isinstance(sizes, tuple | list) or not sizes or not all(type(s) is int and s >= 1 for s in sizes):
        raise ModelError(f"{name} must be one or more whole numbers of at least 1, such as (128,), got {sizes!r}")


def check_dropout(rate: float) -> None:
    """Raise `ModelError` unless the rate is at least 0 and below 1."""
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ModelError(f"dropout is a share, at least 0 and below 1, got {rate!r}")
