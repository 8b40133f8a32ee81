"""One iteration, as a pure function: a batch's samples in, one update of the weights out.

The gradient of a batch is the mean over its samples, however it is split: each micro-batch adds the sum of its samples'
losses divided by the size of the whole batch, a short last one included. Micro-batches are never iterations, and
neither are shards, which devices compute side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree, UInt32

from epochal.audit import index_hashes
from epochal.engine.objective import Objective
from epochal.engine.samples import Samples
from epochal.engine.shards import Shards
from epochal.engine.state import Params, State
from epochal.models import Model
from epochal.order import Order

Hashes: TypeAlias = tuple[UInt32[Array, ""], UInt32[Array, ""]]


@dataclass(frozen=True, slots=True)
class Program:
    """All that decides what one iteration does, but for its samples and the state.

    Attributes:
        micro_batch: samples computed at once; a shard of more is computed in slices.
        shards: how the batch is cut for the devices that compute it.
    """

    model: Model
    objective: Objective
    optimizer: optax.GradientTransformation
    order: Order
    batch_size: int
    micro_batch: int
    shards: Shards


class Batch(NamedTuple):
    """Which samples an iteration uses: positions of an epoch's order, and the key of its random noise.

    And how many shards of them each device computes.
    """

    order_keys: UInt32[Array | np.ndarray, " rounds"]
    start: UInt32[Array, ""]
    shards_each: Int[Array | np.ndarray, ""]
    noise: jax.Array | None


class _Slices(NamedTuple):
    """What the slices of a batch have added up so far."""

    loss: Float[Array, ""]
    gradient: Params
    model_state: PyTree[Any]
    hashes: Hashes


def update(program: Program, samples: Samples, state: State, batch: Batch) -> tuple[State, Float[Array, ""], Hashes]:
    """Return the state after one iteration, its batch's mean loss before the update, and the hashes of its indices."""
    total = program.shards.add_up(lambda number: _shard(program, samples, state, batch, number), batch.shards_each)
    changes, optimizer_state = program.optimizer.update(total.gradient, state.optimizer_state, state.params)
    params: Params = optax.apply_updates(state.params, changes)
    return State(params, total.model_state, optimizer_state), total.loss, total.hashes


def _shard(program: Program, samples: Samples, state: State, batch: Batch, number: jax.Array | int) -> _Slices:
    """Compute what a shard adds to the mean over the whole batch, in one piece where it fits and else in slices."""
    size = program.batch_size // program.shards.count
    if program.shards.count > 1:
        batch = _piece(batch, number, size)
    if size <= program.micro_batch:
        return _slice(program, samples, state.params, state.model_state, batch, size)
    full, rest = divmod(size, program.micro_batch)

    def add(total: _Slices, number: jax.Array | int, size: int) -> _Slices:
        piece = _piece(batch, number, program.micro_batch)
        part = _slice(program, samples, state.params, total.model_state, piece, size)
        loss, gradient, hashes = jax.tree.map(
            jnp.add, (total.loss, total.gradient, total.hashes), (part.loss, part.gradient, part.hashes)
        )
        return _Slices(loss, gradient, part.model_state, hashes)

    zeros = _Slices(
        jnp.float32(0), jax.tree.map(jnp.zeros_like, state.params), state.model_state, (jnp.uint32(0), jnp.uint32(0))
    )
    total = lax.fori_loop(0, full, lambda number, total: add(total, number, program.micro_batch), zeros)
    return add(total, full, rest) if rest else total


def _piece(batch: Batch, number: jax.Array | int, size: int) -> Batch:
    """Return the numbered piece of a batch, with noise of its own."""
    start = batch.start + jnp.asarray(number, jnp.uint32) * jnp.uint32(size)
    noise = None if batch.noise is None else jax.random.fold_in(batch.noise, number)
    return batch._replace(start=start, noise=noise)


def _slice(
    program: Program, samples: Samples, params: Params, model_state: PyTree[Any], batch: Batch, size: int
) -> _Slices:
    """Compute what ``size`` samples add to the mean over the whole batch."""
    positions = batch.start + jnp.arange(size, dtype=jnp.uint32)
    indices = program.order.compiled_indices(batch.order_keys, positions)
    x, y = samples.take(indices.astype(jnp.int32))

    def share_of_mean(params: Params) -> tuple[Float[Array, ""], PyTree[Any]]:
        outputs, new_state = program.model.apply(params, model_state, x, batch.noise, True)
        return jnp.sum(program.objective.losses(outputs, y)) / program.batch_size, new_state

    (loss, new_state), gradient = jax.value_and_grad(share_of_mean, has_aux=True)(params)
    low, high = index_hashes(indices)
    return _Slices(loss, gradient, new_state, (jnp.sum(low), jnp.sum(high)))
