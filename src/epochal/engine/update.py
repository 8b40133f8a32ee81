"""One iteration, as a pure function: a batch's samples in, one update of the weights out.

The gradient of a batch is the mean over its samples, however it is split: each micro-batch adds the sum of its samples'
losses divided by the size of the whole batch, a short last one included. Micro-batches are never iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, PyTree, UInt32

from epochal.engine.audit import index_hashes
from epochal.engine.objective import Objective
from epochal.engine.samples import Samples
from epochal.engine.state import Params, State
from epochal.models import Model
from epochal.order import Order

Hashes: TypeAlias = tuple[UInt32[Array, ""], UInt32[Array, ""]]


@dataclass(frozen=True, slots=True)
class Program:
    """All that decides what one iteration does, but for its samples and the state.

    Attributes:
        micro_batch: samples computed at once; a batch of more is computed in slices.
    """

    model: Model
    objective: Objective
    optimizer: optax.GradientTransformation
    order: Order
    batch_size: int
    micro_batch: int


class Batch(NamedTuple):
    """Which samples an iteration uses: positions of an epoch's order, and the key of its random noise."""

    order_keys: UInt32[Array | np.ndarray, " rounds"]
    start: UInt32[Array, ""]
    noise: jax.Array | None


class _Slices(NamedTuple):
    """What the slices of a batch have added up so far."""

    loss: Float[Array, ""]
    gradient: Params
    model_state: PyTree[Any]
    hashes: Hashes


def update(program: Program, samples: Samples, state: State, batch: Batch) -> tuple[State, Float[Array, ""], Hashes]:
    """Return the state after one iteration, its batch's mean loss before the update, and the hashes of its indices."""
    total = _add_slices(program, samples, state, batch)
    changes, optimizer_state = program.optimizer.update(total.gradient, state.optimizer_state, state.params)
    params: Params = optax.apply_updates(state.params, changes)
    return State(params, total.model_state, optimizer_state), total.loss, total.hashes


def _add_slices(program: Program, samples: Samples, state: State, batch: Batch) -> _Slices:
    """Compute the batch's gradient, in one piece where it fits and else slice by slice."""
    if program.batch_size <= program.micro_batch:
        return _slice(program, samples, state.params, state.model_state, batch, program.batch_size)
    full, rest = divmod(program.batch_size, program.micro_batch)

    def add(total: _Slices, number: jax.Array | int, size: int) -> _Slices:
        start = batch.start + jnp.uint32(number) * jnp.uint32(program.micro_batch)
        noise = None if batch.noise is None else jax.random.fold_in(batch.noise, number)
        piece = Batch(batch.order_keys, start, noise)
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
