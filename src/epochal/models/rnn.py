"""A simple recurrent network that reads an image row by row (Elman 1990)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from epochal.errors import ModelError
from epochal.models.layers import check_sizes, dense, init_dense
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def build_rnn(sample_shape: tuple[int, ...], outputs: int, *, hidden: tuple[int, ...] = (128,)) -> Model:
    """Return ``state ← tanh(row · W + state · U + b)`` over the rows, then a dense layer on the last state.

    The recurrent weights start orthogonal, so that what was read early is not lost at once (Saxe et al. 2014).
    """
    check_sizes("hidden", hidden)
    if len(hidden) != 1:
        raise ModelError(f"rnn has one hidden size, its state's, got {hidden}")
    if len(sample_shape) < 2:
        raise ModelError(f"rnn reads an image or a sequence row by row, but a sample has shape {sample_shape}; use mlp")
    rows, (size,) = sample_shape[0], hidden
    columns = 1
    for length in sample_shape[1:]:
        columns *= length

    def init(key: Key) -> tuple[Params, ModelState]:
        of_input, of_state, of_output = jax.random.split(key, 3)
        return {
            "input": init_dense(of_input, columns, size, gain=1.0),
            "recurrent": jax.random.orthogonal(of_state, size),
            "output": init_dense(of_output, size, outputs, gain=1.0),
        }, ()

    def apply(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        by_row = jnp.moveaxis(x.reshape(x.shape[0], rows, columns), 1, 0)
        drive = dense(params["input"], by_row.reshape(-1, columns)).reshape(rows, x.shape[0], size)

        def read(memory: jax.Array, row: jax.Array) -> tuple[jax.Array, None]:
            return jnp.tanh(row + memory @ params["recurrent"]), None

        last, _ = lax.scan(read, jnp.zeros((x.shape[0], size)), drive)
        return dense(params["output"], last), state

    return Model("rnn", init, apply, options={"hidden": list(hidden)})
