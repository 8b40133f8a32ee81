"""A simple recurrent network that reads an image row by row (Elman, *Finding Structure in Time*, 1990)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from epochal.errors import ModelError
from epochal.models.layers import check_sizes, dense, init_dense
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def build_rnn(sample_shape: tuple[int, ...], outputs: int, *, hidden: tuple[int, ...] = (128,)) -> Model:
    """Return ``memory ← tanh(row · W + b + memory · U)`` over the rows, then a dense layer on the last memory.

    The recurrent weights U start orthogonal, so that what was read early is not lost at once (Saxe et al. 2014).
    Raises `ModelError` for samples that have no rows.
    """
    check_sizes("hidden", hidden)
    if len(hidden) != 1:
        raise ModelError(f"rnn has one hidden size, its memory's, got {hidden}")
    if len(sample_shape) < 2:
        raise ModelError(f"rnn reads an image or a sequence row by row, but a sample has shape {sample_shape}; use mlp")

    # Plain steps make a recurrent network unstable, so Adam is its default.
    rows, columns, (size,) = sample_shape[0], math.prod(sample_shape[1:]), hidden

    def init(key: Key) -> tuple[Params, ModelState]:
        of_input, of_memory, of_output = jax.random.split(key, 3)
        return {
            "input": init_dense(of_input, columns, size, gain=1.0),
            "recurrent": jax.random.orthogonal(of_memory, size),
            "output": init_dense(of_output, size, outputs, gain=1.0),
        }, ()

    def apply(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        by_row = jnp.moveaxis(x.reshape(x.shape[0], rows, columns), 1, 0)
        drive = dense(params["input"], by_row.reshape(-1, columns)).reshape(rows, x.shape[0], size)
        return dense(params["output"], remember(drive, params["recurrent"])), state

    return Model("rnn", init, apply, shards=2, optimizer="adam", options={"hidden": list(hidden)})


@jax.custom_vjp
def remember(
    drive: Float[Array, "rows batch size"], recurrent: Float[Array, "size size"]
) -> Float[Array, "batch size"]:
    """Return the last memory of ``memory ← tanh(drive[row] + memory · recurrent)``, which starts at 0.

    The gradient is written out so that the one of the recurrent weights is a single large matrix product after the
    backward loop, in place of a small one and a sum in each of its steps.
    """
    return _read(drive, recurrent)[0]


def _read(drive: Array, recurrent: Array) -> tuple[Array, tuple[Array, Array]]:
    def step(memory: Array, row: Array) -> tuple[Array, Array]:
        memory = jnp.tanh(row + memory @ recurrent)
        return memory, memory

    last, memories = lax.scan(step, jnp.zeros_like(drive[0]), drive)
    return last, (memories, recurrent)


def _learn(saved: tuple[Array, Array], of_last: Array) -> tuple[Array, Array]:
    memories, recurrent = saved

    def step(of_memory: Array, memory: Array) -> tuple[Array, Array]:
        of_drive = of_memory * (1 - memory * memory)
        return of_drive @ recurrent.T, of_drive

    _, of_drive = lax.scan(step, of_last, memories, reverse=True)
    before, after = (a.reshape(-1, len(recurrent)) for a in (memories[:-1], of_drive[1:]))
    return of_drive, before.T @ after


remember.defvjp(_read, _learn)
