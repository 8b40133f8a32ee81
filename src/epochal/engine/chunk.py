"""The compiled chunk: many iterations in one loop on the device, with nothing for the host to do in between.

One compilation serves every chunk of a batch size, and every training of equal shape: the number of iterations, the
position in the epoch, the order's keys, the learning rate and the key of random numbers are arguments. The results are
bit-identical for chunks of any length. A chunk never leaves its epoch, and all of its batches have the same size: an
epoch's smaller last batch is a chunk of one iteration and another compilation, so that a model never sees padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, UInt32

from epochal.clock import Position
from epochal.engine.feed import Feed
from epochal.engine.placement import Shards
from epochal.engine.state import TRAINING_NOISE, State, purpose_key
from epochal.engine.step import BatchSpec, StepConfig, train_step
from epochal.order import Order

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
    order: Order, position: Position, count: int, rate: float, key_data: UInt32[np.ndarray, " words"], shards: Shards
) -> ChunkArguments:
    """Return the arguments of a chunk of ``count`` iterations from ``position``."""
    return ChunkArguments(
        order.keys(position.epoch),
        np.array(position.offset, np.uint32),
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
        return end.state, end.record

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
