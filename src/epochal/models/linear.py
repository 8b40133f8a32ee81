"""A linear model: one weight for each input and output; with cross-entropy, softmax regression."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def build_linear(sample_shape: tuple[int, ...], outputs: int) -> Model:
    """Return ``flatten → dense``, starting at 0: its loss has one valley, so any start will do."""
    inputs = math.prod(sample_shape)

    def init(key: Key) -> tuple[Params, ModelState]:
        return {"weights": jnp.zeros((inputs, outputs)), "bias": jnp.zeros(outputs)}, ()

    def apply(params: Params, state: ModelState, x: Samples, key: Any, training: bool) -> tuple[Outputs, ModelState]:
        # The barrier keeps the weights' gradient in the form (outputs, inputs), of which the compiler would make the
        # other one: with few outputs a CPU takes up to twice as long for that product.
        by_output = lax.optimization_barrier(params["weights"].T)
        return x.reshape(x.shape[0], -1) @ by_output.T + params["bias"], state

    return Model("linear", init, apply)
