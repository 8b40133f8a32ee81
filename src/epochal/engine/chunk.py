"""The compiled chunk: many train steps in one loop on the device.

One compilation serves every chunk of a batch size, and every training of equal shape: the number of iterations, the
position in the epoch, the order's keys, the learning rate and the key of random numbers are arguments. The results are
bit-identical for chunks of any length. A chunk never leaves its epoch, and all of its batches have the same size: an
epoch's smaller last batch is a chunk of one iteration and another compilation, so that a model never sees padding.

Where the gradients' noise is measured, the loop has another one around it, which measures once and then runs an inner
loop of plain iterations: a condition within the iteration would cost half of its time again, and this costs next to
nothing. The measurement reads the state that the next iteration begins with, and the weights have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, UInt32

from epochal.clock import Position
from epochal.engine.feed import Feed
from epochal.engine.placement import Shards
from epochal.engine.state import TRAINING_NOISE, Params, State, purpose_key
from epochal.engine.step import BatchSpec, StepConfig, half_gradients, train_step

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
    to_measured: Int[Array | np.ndarray, ""] | None = None


class Record(NamedTuple):
    """What a chunk reports: each iteration's loss, the audit of the samples that it gathered, and what it measured.

    Attributes:
        noise: of each measured iteration, the squared norms of the difference of its halves' gradients and of their
            mean; ``None`` where nothing is measured.
    """

    losses: Float[Array, "rows row"]
    samples: UInt32[Array, ""]
    hash_low: UInt32[Array, ""]
    hash_high: UInt32[Array, ""]
    noise: Float[Array, "measured 2"] | None = None


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
    noise_every: int | None = None,
) -> ChunkArguments:
    """Return the arguments of a chunk of ``count`` iterations from ``position``.

    ``keys`` are the order's in this epoch; ``first`` is the position in the epoch from which the feed's rows count.
    ``noise_every`` is the step's: which iterations are measured depends on their number alone.
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
        None if noise_every is None else np.array(-position.iteration % noise_every, np.int32),
    )


def count_measured(position: Position, count: int, noise_every: int) -> int:
    """Return how many of ``count`` iterations from a position are measured: those whose number it divides.

    >>> count_measured(Position(38), 3, noise_every=20), count_measured(Position(41), 19, noise_every=20)
    (1, 0)
    """
    return -(-max(0, count - -position.iteration % noise_every) // noise_every)


def build_chunk(config: StepConfig) -> Chunk:
    """Return the function that runs ``arguments.iterations`` full batches; not yet compiled."""

    def chunk(state: State, feed: Feed, arguments: ChunkArguments) -> tuple[State, Record]:
        def batch(i: jax.Array) -> BatchSpec:
            start = arguments.offset + i.astype(jnp.uint32) * jnp.uint32(config.batch_size)
            key = _iteration_key(arguments, i) if config.model.needs_rng else None
            return BatchSpec(arguments.order_keys, start, arguments.rate, arguments.shards_each, key)

        def iterate(i: jax.Array, carry: _Carry) -> _Carry:
            state, loss, hashes = train_step(config, feed, carry.state, batch(i))

            row = jnp.where(jnp.arange(_ROW) == i % _ROW, loss, carry.row)
            losses = lax.dynamic_update_slice(carry.record.losses, row[None], (i // _ROW, jnp.int32(0)))

            record = carry.record._replace(
                losses=losses,
                samples=carry.record.samples + jnp.uint32(config.batch_size),
                hash_low=carry.record.hash_low + hashes[0],
                hash_high=carry.record.hash_high + hashes[1],
            )
            return _Carry(state, row, record)

        def measure(i: jax.Array, carry: _Carry) -> Float[Array, " 2"]:
            first, second = half_gradients(config, feed, carry.state, batch(i))
            return jnp.stack([_square(_difference(first, second)), _square(_mean(first, second))])

        nothing = Record(jnp.zeros((_ROWS, _ROW)), jnp.uint32(0), jnp.uint32(0), jnp.uint32(0))
        begin = _Carry(state, jnp.zeros(_ROW), nothing)
        if config.noise_every is None:
            end = lax.fori_loop(jnp.int32(0), arguments.iterations, iterate, begin)
        else:
            end = _loop_around(config.noise_every, arguments, iterate, measure, begin)
        low, high = config.shards.add_devices((end.record.hash_low, end.record.hash_high))
        return end.state, end.record._replace(hash_low=low, hash_high=high)

    return chunk


class _Carry(NamedTuple):
    state: State
    row: Float[Array, " row"]
    record: Record


def _loop_around(
    every: int,
    arguments: ChunkArguments,
    iterate: Callable[[jax.Array, _Carry], _Carry],
    measure: Callable[[jax.Array, _Carry], Float[Array, " 2"]],
    begin: _Carry,
) -> _Carry:
    """Run all iterations in stretches, of which each but the first begins with a measurement.

    A loop of one or no turns is a condition that the compiler cannot mix with what stands around it.
    """
    assert arguments.to_measured is not None
    lead, iterations = jnp.asarray(arguments.to_measured), jnp.asarray(arguments.iterations)
    measured = (jnp.maximum(iterations - lead, 0) + every - 1) // every

    def start(stretch: jax.Array) -> jax.Array:
        return jnp.clip(lead + (stretch - 1) * every, 0, iterations)

    def run(stretch: jax.Array, carry: _Carry) -> _Carry:
        def put(_: jax.Array, noise: Float[Array, "measured 2"]) -> Float[Array, "measured 2"]:
            sums = measure(start(stretch), carry)[None]
            return lax.dynamic_update_slice(noise, sums, (stretch - 1, jnp.int32(0)))

        noise = lax.fori_loop(jnp.int32(0), jnp.minimum(stretch, 1), put, carry.record.noise)
        carry = carry._replace(record=carry.record._replace(noise=noise))
        carry = lax.fori_loop(start(stretch), start(stretch + 1), iterate, carry)
        return carry

    begin = begin._replace(record=begin.record._replace(noise=jnp.zeros((-(-CAPACITY // every), 2))))
    end: _Carry = lax.fori_loop(jnp.int32(0), measured + 1, run, begin)
    return end


def _difference(first: Params, second: Params) -> Params:
    return jax.tree.map(jnp.subtract, first, second)


def _mean(first: Params, second: Params) -> Params:
    return jax.tree.map(lambda one, other: (one + other) / 2, first, second)


def _square(gradient: Params) -> Float[Array, ""]:
    square: Array = optax.tree.norm(gradient, squared=True)
    return square


def _iteration_key(arguments: ChunkArguments, i: jax.Array) -> jax.Array:
    """Return the iteration's random key: a pure function of seed and iteration."""
    low = arguments.iteration_low + i.astype(jnp.uint32)
    high = arguments.iteration_high + (low < arguments.iteration_low).astype(jnp.uint32)
    key = jax.random.wrap_key_data(jnp.asarray(arguments.key_data))
    return jax.random.fold_in(jax.random.fold_in(key, high), low)
