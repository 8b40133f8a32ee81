"""The train step as a pure function.

The gradient of a batch is the mean over its samples, however it is split: each micro-batch adds the sum of its samples'
losses divided by the size of the whole batch, a short last one included. Micro-batches are never iterations, and
neither are shards, which devices compute side by side. Where samples have weights, each loss is multiplied by its own
before: a batch of B samples has the loss Σ wᵢ·lᵢ / B.

Beside the step, and without a bearing on it, two halves of a batch can be compared: what their gradients differ in is
noise (`epochal.engine.noise_scale`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree, UInt32

from epochal.audit import id_hashes
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Feed
from epochal.engine.optimizer import Optimizer
from epochal.engine.placement import Shards
from epochal.engine.state import Params, State
from epochal.engine.task import Losses
from epochal.models import Model
from epochal.models.model import in_full
from epochal.order import Order

Hashes: TypeAlias = tuple[UInt32[Array, ""], UInt32[Array, ""]]


@dataclass(frozen=True, slots=True)
class StepConfig:
    """All that is compiled into a train step: what the values of its arguments cannot change.

    Attributes:
        order: the permutation of N samples; its keys, which make it an epoch's, are an argument. ``None`` where rows
            come in their order.
        micro_batch: samples computed at once; a shard of more is computed in slices.
        shards: how the batch is cut for the devices that compute it.
        noise_every: every which iteration is measured; ``None``: none is.
    """

    model: Model
    losses: Losses
    optimizer: Optimizer
    order: Order | None
    batch_size: int
    micro_batch: int
    shards: Shards
    noise_every: int | None = None


class BatchSpec(NamedTuple):
    """Inputs of one step: the first position in the epoch's order, learning rate, shards per device, RNG key."""

    order_keys: UInt32[Array | np.ndarray, " rounds"]
    start: UInt32[Array, ""]
    rate: Float[Array | np.ndarray, ""]
    shards_each: Int[Array | np.ndarray, ""]
    key: jax.Array | None


class _Sums(NamedTuple):
    """What the slices of a batch have added up so far."""

    loss: Float[Array, ""]
    gradient: Params
    model_state: PyTree[Any]


_Part: TypeAlias = tuple[_Sums, Hashes]


def train_step(
    config: StepConfig, feed: Feed, state: State, batch: BatchSpec
) -> tuple[State, Float[Array, ""], Hashes]:
    """Return the state after one iteration, its batch's mean loss before the update, and the hashes of its samples.

    Of the samples, that is, which this device used.
    """
    total, hashes = config.shards.add_up(lambda number: _shard(config, feed, state, batch, number), batch.shards_each)

    optimizer = config.optimizer.with_rate(batch.rate)
    changes, optimizer_state = optimizer.update(total.gradient, state.optimizer_state, state.params)
    params: Params = optax.apply_updates(state.params, changes)

    return State(params, total.model_state, optimizer_state), total.loss, hashes


def half_gradients(config: StepConfig, feed: Feed, state: State, batch: BatchSpec) -> tuple[Params, Params]:
    """Return the mean gradients of two halves of a batch, which share no sample.

    Each half has a half of every shard; of an odd one, the last sample is in neither.
    """
    whole = config.batch_size // config.shards.count
    size = whole // 2
    config = dataclasses.replace(config, batch_size=size * config.shards.count)

    def shard(number: jax.Array | int) -> tuple[tuple[Params, Params], tuple[()]]:
        piece = _piece(batch, number, whole)
        halves = (_in_slices(config, feed, state, _piece(piece, half, size), size)[0].gradient for half in range(2))
        return tuple(halves), ()

    return config.shards.add_up(shard, batch.shards_each)[0]


def _shard(config: StepConfig, feed: Feed, state: State, batch: BatchSpec, number: jax.Array | int) -> _Part:
    """Compute what a shard adds to the mean over the whole batch, in one piece where it fits and else in slices."""
    size = config.batch_size // config.shards.count
    if config.shards.count > 1:
        batch = _piece(batch, number, size)
    return _in_slices(config, feed, state, batch, size)


def _in_slices(config: StepConfig, feed: Feed, state: State, batch: BatchSpec, size: int) -> _Part:
    """Compute what ``size`` samples from a batch's start on add to its mean, a micro-batch at a time."""
    if size <= config.micro_batch:
        return _slice(config, feed, state.params, state.model_state, batch, size)

    full, rest = divmod(size, config.micro_batch)

    def add(total: _Part, number: jax.Array | int, size: int) -> _Part:
        sums, hashes = total
        piece = _piece(batch, number, config.micro_batch)
        part, part_hashes = _slice(config, feed, state.params, sums.model_state, piece, size)
        loss, gradient, hashes = jax.tree.map(
            jnp.add, (sums.loss, sums.gradient, hashes), (part.loss, part.gradient, part_hashes)
        )
        return _Sums(loss, gradient, part.model_state), hashes

    nothing = _Sums(jnp.float32(0), jax.tree.map(jnp.zeros_like, state.params), state.model_state)
    total = (nothing, (jnp.uint32(0), jnp.uint32(0)))
    total = lax.fori_loop(0, full, lambda number, total: add(total, number, config.micro_batch), total)
    return add(total, full, rest) if rest else total


def _piece(batch: BatchSpec, number: jax.Array | int, size: int) -> BatchSpec:
    """Return the numbered piece of a batch, with a key derived for it alone."""
    start = batch.start + jnp.asarray(number, jnp.uint32) * jnp.uint32(size)
    key = None if batch.key is None else jax.random.fold_in(batch.key, number)
    return batch._replace(start=start, key=key)


def _slice(
    config: StepConfig, feed: Feed, params: Params, model_state: PyTree[Any], batch: BatchSpec, size: int
) -> _Part:
    """Compute what ``size`` samples add to the mean over the whole batch."""
    rows = feed.rows(config.order, batch.order_keys, batch.start, size)

    def mean(losses: Float[Array, " size"]) -> Float[Array, ""]:
        return jnp.sum(losses if rows.weight is None else losses * rows.weight) / config.batch_size

    def share_of_mean(params: Params) -> tuple[Float[Array, ""], PyTree[Any]]:
        outputs, new_state = fast_apply(config.model)(params, model_state, rows.x, batch.key, True)
        outputs = in_full(outputs)
        if rows.units is None:
            return mean(config.losses(outputs, rows.y)), (new_state, None)

        # what is minimised is the loss of standardised targets; what is recorded is in their own units
        recorded = mean(config.losses(rows.units.restore(outputs), rows.y))
        return mean(config.losses(outputs, rows.units.standardise(rows.y))), (new_state, recorded)

    differentiated = fast_function(jax.value_and_grad(share_of_mean, has_aux=True), config.model)
    (loss, (new_state, recorded)), gradient = differentiated(params)
    if recorded is not None:
        loss = recorded

    # The hashes are of the rows that came, not of those that should have come.
    low, high = id_hashes(*rows.ids)
    return _Sums(loss, gradient, new_state), (jnp.sum(low), jnp.sum(high))
