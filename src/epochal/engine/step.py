"""The train step as a pure function, and the compiled chunk: many of them in one loop on the device.

The gradient of a batch is the mean over its samples, however it is split: each micro-batch adds the sum of its samples'
losses divided by the size of the whole batch, a short last one included. Micro-batches are never iterations, and
neither are shards, which devices compute side by side. Where samples have weights, each loss is multiplied by its own
before: a batch of B samples has the loss Σ wᵢ·lᵢ / B.

One compilation serves every chunk of a batch size, and every training of equal shape: the number of iterations, the
position in the epoch, the order's keys, the learning rate and the key of random numbers are arguments. The results are
bit-identical for chunks of any length. A chunk never leaves its epoch, and all of its batches have the same size: an
epoch's smaller last batch is a chunk of one iteration and another compilation, so that a model never sees padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree, UInt32

from epochal.audit import id_hashes
from epochal.clock import Position
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Feed
from epochal.engine.optimizer import Optimizer
from epochal.engine.placement import Shards
from epochal.engine.state import TRAINING_NOISE, Params, State, purpose_key
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
    """

    model: Model
    losses: Losses
    optimizer: Optimizer
    order: Order | None
    batch_size: int
    micro_batch: int
    shards: Shards


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


def _shard(config: StepConfig, feed: Feed, state: State, batch: BatchSpec, number: jax.Array | int) -> _Part:
    """Compute what a shard adds to the mean over the whole batch, in one piece where it fits and else in slices."""
    size = config.batch_size // config.shards.count
    if config.shards.count > 1:
        batch = _piece(batch, number, size)
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


# --- many iterations in one loop --------------------------------------------------------------------------------------


_ROW, _ROWS = 64, 256  # losses are written in rows: single small writes into a large array are slow on some versions
CAPACITY = _ROW * _ROWS
"""The most iterations of one chunk."""


class ChunkArguments(NamedTuple):
    """Where a chunk starts, how long it is and with which numbers, all as arrays, so that no value is compiled in."""

    order_keys: UInt32[Array | np.ndarray, " rounds"]
    offset: UInt32[Array | np.ndarray, ""]
    iteration_high: UInt32[Array | np.ndarray, ""]
    iteration_low: UInt32[Array | np.ndarray, ""]
    iterations: Int[Array | np.ndarray, ""]
    rate: Float[Array | np.ndarray, ""]
    key_data: UInt32[Array | np.ndarray, " words"]
    shards_each: Int[Array | np.ndarray, ""]


class Record(NamedTuple):
    """What a chunk reports: each iteration's loss, and the audit of the samples that it gathered."""

    losses: Float[Array, "rows row"]
    samples: UInt32[Array, ""]
    hash_low: UInt32[Array, ""]
    hash_high: UInt32[Array, ""]


Chunk: TypeAlias = Callable[[State, Feed, ChunkArguments], tuple[State, Record]]


def training_key_data(seed: int) -> UInt32[np.ndarray, " words"]:
    """Return the words of the key from which all random numbers of a training with this seed are derived."""
    return np.asarray(jax.random.key_data(purpose_key(seed, TRAINING_NOISE)))


def chunk_arguments(
    keys: UInt32[np.ndarray, " rounds"],
    position: Position,
    count: int,
    rate: float,
    key_data: UInt32[np.ndarray, " words"],
    shards: Shards,
    first: int = 0,
) -> ChunkArguments:
    """Return the arguments of a chunk of ``count`` iterations from ``position``.

    ``keys`` are the order's in this epoch; ``first`` is the position in the epoch from which the feed's rows count.
    """
    return ChunkArguments(
        keys,
        np.array(position.offset - first, np.uint32),
        np.array(position.iteration >> 32, np.uint32),
        np.array(position.iteration & 0xFFFFFFFF, np.uint32),
        np.array(count, np.int32),
        np.array(rate, np.float32),
        key_data,
        np.array(shards.each, np.int32),
    )


def build_chunk(config: StepConfig) -> Chunk:
    """Return the function that runs ``arguments.iterations`` full batches; not yet compiled."""

    def chunk(state: State, feed: Feed, arguments: ChunkArguments) -> tuple[State, Record]:
        def iterate(i: jax.Array, carry: _Carry) -> _Carry:
            start = arguments.offset + i.astype(jnp.uint32) * jnp.uint32(config.batch_size)
            key = _iteration_key(arguments, i) if config.model.needs_rng else None
            batch = BatchSpec(arguments.order_keys, start, arguments.rate, arguments.shards_each, key)
            state, loss, hashes = train_step(config, feed, carry.state, batch)

            row = jnp.where(jnp.arange(_ROW) == i % _ROW, loss, carry.row)
            losses = lax.dynamic_update_slice(carry.record.losses, row[None], (i // _ROW, jnp.int32(0)))

            record = Record(
                losses,
                carry.record.samples + jnp.uint32(config.batch_size),
                carry.record.hash_low + hashes[0],
                carry.record.hash_high + hashes[1],
            )
            return _Carry(state, row, record)

        nothing = Record(jnp.zeros((_ROWS, _ROW)), jnp.uint32(0), jnp.uint32(0), jnp.uint32(0))
        end = lax.fori_loop(jnp.int32(0), arguments.iterations, iterate, _Carry(state, jnp.zeros(_ROW), nothing))
        low, high = config.shards.add_devices((end.record.hash_low, end.record.hash_high))
        return end.state, end.record._replace(hash_low=low, hash_high=high)

    return chunk


class _Carry(NamedTuple):
    state: State
    row: Float[Array, " row"]
    record: Record


def _iteration_key(arguments: ChunkArguments, i: jax.Array) -> jax.Array:
    """Return the iteration's random key: a pure function of seed and iteration."""
    low = arguments.iteration_low + i.astype(jnp.uint32)
    high = arguments.iteration_high + (low < arguments.iteration_low).astype(jnp.uint32)
    key = jax.random.wrap_key_data(jnp.asarray(arguments.key_data))
    return jax.random.fold_in(jax.random.fold_in(key, high), low)
