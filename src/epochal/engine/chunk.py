"""The compiled chunk: many iterations in one loop on the device, with nothing for the host to do in between.

One compilation serves every chunk of a batch size, because the number of iterations, the place in the epoch and the
order's keys are arguments; the results have the same bits for chunks of any length. A chunk never leaves its epoch, and
all of its batches have the same size: an epoch's smaller last batch is a chunk of one iteration and of a compilation of
its own, so that a model never sees padding.
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
from epochal.engine.samples import Samples
from epochal.engine.shards import Shards
from epochal.engine.state import TRAINING_NOISE, State, purpose_key
from epochal.engine.update import Batch, Program, update
from epochal.order import Order

_ROW, _ROWS = 64, 256  # losses are written in rows: single small writes into a large array are slow on some versions
CAPACITY = _ROW * _ROWS
"""The most iterations of one chunk."""


class Place(NamedTuple):
    """Where a chunk starts, how long it is and how it is shared, all as arrays, so that no value is compiled in."""

    order_keys: UInt32[Array | np.ndarray, " rounds"]
    offset: UInt32[Array | np.ndarray, ""]
    iteration_high: UInt32[Array | np.ndarray, ""]
    iteration_low: UInt32[Array | np.ndarray, ""]
    iterations: Int[Array | np.ndarray, ""]
    shards_each: Int[Array | np.ndarray, ""]


class Record(NamedTuple):
    """What a chunk reports: each iteration's loss, and the audit of the samples that it gathered."""

    losses: Float[Array, "rows row"]
    samples: UInt32[Array, ""]
    hash_low: UInt32[Array, ""]
    hash_high: UInt32[Array, ""]


Chunk: TypeAlias = Callable[[State, Samples, Place], tuple[State, Record]]


def place_at(order: Order, position: Position, count: int, shards: Shards) -> Place:
    """Return where a chunk of ``count`` iterations starts, and how its batches are shared."""
    return Place(
        order.keys(position.epoch),
        np.array(position.offset, np.uint32),
        np.array(position.iteration >> 32, np.uint32),
        np.array(position.iteration & 0xFFFFFFFF, np.uint32),
        np.array(count, np.int32),
        np.array(shards.each, np.int32),
    )


def build_chunk(program: Program, seed: int) -> Chunk:
    """Return the function that runs ``place.iterations`` full batches from ``place``; not yet compiled."""

    def chunk(state: State, samples: Samples, place: Place) -> tuple[State, Record]:
        def iterate(i: jax.Array, carry: _Carry) -> _Carry:
            start = place.offset + i.astype(jnp.uint32) * jnp.uint32(program.batch_size)
            batch = Batch(place.order_keys, start, place.shards_each, _noise(program, seed, place, i))
            state, loss, hashes = update(program, samples, carry.state, batch)
            row = jnp.where(jnp.arange(_ROW) == i % _ROW, loss, carry.row)
            losses = lax.dynamic_update_slice(carry.record.losses, row[None], (i // _ROW, jnp.int32(0)))
            record = Record(
                losses,
                carry.record.samples + jnp.uint32(program.batch_size),
                carry.record.hash_low + hashes[0],
                carry.record.hash_high + hashes[1],
            )
            return _Carry(state, row, record)

        nothing = Record(jnp.zeros((_ROWS, _ROW)), jnp.uint32(0), jnp.uint32(0), jnp.uint32(0))
        end = lax.fori_loop(jnp.int32(0), place.iterations, iterate, _Carry(state, jnp.zeros(_ROW), nothing))
        return end.state, end.record

    return chunk


class _Carry(NamedTuple):
    state: State
    row: Float[Array, " row"]
    record: Record


def _noise(program: Program, seed: int, place: Place, i: jax.Array) -> jax.Array | None:
    """Return the iteration's random key: a pure function of seed and iteration; none for a model without noise."""
    if not program.model.random:
        return None
    low = place.iteration_low + i.astype(jnp.uint32)
    high = place.iteration_high + (low < place.iteration_low).astype(jnp.uint32)
    return jax.random.fold_in(jax.random.fold_in(purpose_key(seed, TRAINING_NOISE), high), low)
