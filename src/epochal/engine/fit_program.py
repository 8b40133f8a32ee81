"""The program of a whole fit: many epochs over a padded table in one call, as `epochal.engine.whole_fit` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Float32, Int32, PyTree, Shaped, UInt32

from epochal.audit import id_hashes
from epochal.engine.optimizer import Optimizer
from epochal.engine.state import INITIAL_WEIGHTS, TRAINING_NOISE, Params, State, key_of_words
from epochal.engine.task import Losses
from epochal.models import Model
from epochal.models.model import in_full
from epochal.order import Grid, compiled_keys, compiled_order

MOST_EPOCHS = 1024
"""The most epochs of one call."""

PREDICTED_ROWS = 64
"""Rows whose outputs are computed together."""


class Table(NamedTuple):
    """A training table on the device, padded to `padded_size` rows; weights of 1 are no weights."""

    x: Float[Array, "rows *sample"]
    y: Shaped[Array, "rows *target"]
    weight: Float[Array, " rows"]


class FitArguments(NamedTuple):
    """All that may differ between two fits by one program, as arrays.

    Attributes:
        grid: the order's: N, rows, columns.
        batch_size: B, at most N.
        seed: its lower and its upper 32 bits.
        epoch: the first epoch's number.
        epochs: how many, at most `MOST_EPOCHS`.
        iteration: how many iterations there were before.
        rate: the learning rate.
        decay: the weight decay, 0 for none.
        units: ``(k,)`` what one unit of each output is in the targets' own, for the recorded loss; ``None``: 1.
    """

    grid: Grid
    batch_size: UInt32[np.ndarray, ""]
    seed: tuple[UInt32[np.ndarray, ""], UInt32[np.ndarray, ""]]
    epoch: UInt32[np.ndarray, ""]
    epochs: Int32[np.ndarray, ""]
    iteration: UInt32[np.ndarray, ""]
    rate: Float32[np.ndarray, ""]
    decay: Float32[np.ndarray, ""]
    units: Float32[np.ndarray, " outputs"] | None


class Record(NamedTuple):
    """What each epoch reports: its mean loss, and the audit of the samples that it gathered."""

    losses: Float[Array, " epochs"]
    samples: UInt32[Array, " epochs"]
    hash_low: UInt32[Array, " epochs"]
    hash_high: UInt32[Array, " epochs"]


@dataclass(frozen=True, slots=True)
class FitConfig:
    """What is compiled into a fit, beside the shapes of its arguments.

    Attributes:
        rows: of a batch that are computed at once.
        is_sliced: whether a batch may have more rows than that.
        rounds: of the order.
    """

    model: Model
    losses: Losses
    optimizer: Optimizer
    rows: int
    is_sliced: bool
    rounds: int


class _Sums(NamedTuple):
    """What the slices of a batch have added up so far."""

    gradient: Params
    loss: Float[Array, ""]
    audit: tuple[UInt32[Array, ""], UInt32[Array, ""], UInt32[Array, ""]]


Fit: TypeAlias = Callable[[State, Table, FitArguments], tuple[State, Record]]


def build_begin(model: Model, optimizer: Optimizer) -> Callable[[tuple[Any, Any]], State]:
    """Return the function that makes a seed's first state; not yet compiled."""

    def begin(seed: tuple[Array, Array]) -> State:
        params, model_state = model.init(key_of_words(seed, INITIAL_WEIGHTS))
        return State(params, model_state, optimizer.with_rate(1.0, weight_decay=0.0).init(params))

    return begin


def build_fit(config: FitConfig) -> Fit:
    """Return the function that trains for ``arguments.epochs`` epochs; not yet compiled."""

    def fit(state: State, table: Table, arguments: FitArguments) -> tuple[State, Record]:
        grid, size = arguments.grid, arguments.batch_size
        batches = ((grid.samples + size - 1) // size).astype(jnp.int32)
        everywhere = jnp.arange(len(table.x), dtype=jnp.uint32)

        def epoch(number: Array, carry: tuple[State, Record]) -> tuple[State, Record]:
            keys = compiled_keys(config.rounds, arguments.seed, arguments.epoch + number.astype(jnp.uint32))
            sequence = compiled_order(grid, keys, jnp.where(everywhere < grid.samples, everywhere, 0))
            iteration = arguments.iteration + (number * batches).astype(jnp.uint32)

            def iterate(i: Array, carry: tuple[State, _Sums]) -> tuple[State, _Sums]:
                state, before = carry
                start = i.astype(jnp.uint32) * size
                end = jnp.minimum(start + size, grid.samples)
                key = _noise(arguments, iteration + i.astype(jnp.uint32)) if config.model.needs_rng else None
                batch = _Batch(sequence, start, end, key)

                total = _batch(config, table, arguments, state, batch)
                optimizer = config.optimizer.with_rate(arguments.rate, weight_decay=jnp.asarray(arguments.decay))
                changes, optimizer_state = optimizer.update(total.gradient, state.optimizer_state, state.params)
                params = optax.apply_updates(state.params, changes)

                loss = before.loss + total.loss * (end - start).astype(jnp.float32)
                audit = jax.tree.map(jnp.add, before.audit, total.audit)
                return State(params, state.model_state, optimizer_state), _Sums((), loss, audit)

            state, record = carry
            state, sums = lax.fori_loop(jnp.int32(0), batches, iterate, (state, _Sums((), *_nothing())))
            mean = sums.loss / grid.samples.astype(jnp.float32)
            return state, Record(
                *(kept.at[number].set(one) for kept, one in zip(record, (mean, *sums.audit), strict=True))
            )

        none = Record(jnp.zeros(MOST_EPOCHS), *(jnp.zeros(MOST_EPOCHS, jnp.uint32) for _ in range(3)))
        end: tuple[State, Record] = lax.fori_loop(jnp.int32(0), arguments.epochs, epoch, (state, none))
        return end

    return fit


class _Batch(NamedTuple):
    """A batch: the epoch's sequence of samples, the positions that are the batch's, and a key for noise."""

    sequence: UInt32[Array, " rows"]
    start: UInt32[Array, ""]
    end: UInt32[Array, ""]
    key: jax.Array | None


def _batch(config: FitConfig, table: Table, arguments: FitArguments, state: State, batch: _Batch) -> _Sums:
    """Return gradient and loss, the means over a batch, in one slice or in as many as hold a sample."""
    if not config.is_sliced:
        return _slice(config, table, arguments, state, batch, jnp.uint32(0))

    def add(number: Array, total: _Sums) -> _Sums:
        part = _slice(config, table, arguments, state, batch, number.astype(jnp.uint32))
        both: _Sums = jax.tree.map(jnp.add, total, part)
        return both

    slices = (batch.end - batch.start + jnp.uint32(config.rows - 1)) // jnp.uint32(config.rows)
    zeros = _Sums(jax.tree.map(jnp.zeros_like, state.params), *_nothing())
    sums: _Sums = lax.fori_loop(jnp.int32(0), slices.astype(jnp.int32), add, zeros)
    return sums


def _nothing() -> tuple[Array, tuple[Array, Array, Array]]:
    """Return the loss and the audit of no sample."""
    return jnp.float32(0), (jnp.uint32(0), jnp.uint32(0), jnp.uint32(0))


def _slice(
    config: FitConfig, table: Table, arguments: FitArguments, state: State, batch: _Batch, number: Array
) -> _Sums:
    """Return what the numbered slice adds to the means over its batch."""
    positions = batch.start + number * jnp.uint32(config.rows) + jnp.arange(config.rows, dtype=jnp.uint32)
    is_used = positions < batch.end
    ids = batch.sequence[jnp.where(is_used, positions, 0)]
    rows = ids.astype(jnp.int32)

    x, y, weight = (values.at[rows].get(mode="promise_in_bounds") for values in table)
    weight = jnp.where(is_used, weight, 0) / (batch.end - batch.start).astype(jnp.float32)
    key = batch.key if batch.key is None or not config.is_sliced else jax.random.fold_in(batch.key, number)

    def mean_loss(params: Params) -> tuple[Float[Array, ""], Float[Array, ""]]:
        outputs = in_full(config.model.apply(params, state.model_state, x, key, True)[0])
        loss = jnp.sum(config.losses(outputs, y) * weight)
        if arguments.units is None:
            return loss, loss
        return loss, jnp.sum(config.losses(outputs * arguments.units, y * arguments.units) * weight)

    (_, recorded), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)

    # The hashes are of the indices that were gathered, not of those that should have been.
    used = is_used.astype(jnp.uint32)
    low, high = id_hashes(ids)
    return _Sums(gradient, recorded, (jnp.sum(used), jnp.sum(low * used), jnp.sum(high * used)))


def _noise(arguments: FitArguments, iteration: Array) -> jax.Array:
    """Return the iteration's random key: a pure function of seed and iteration, as in the train step."""
    key = key_of_words(arguments.seed, TRAINING_NOISE)
    return jax.random.fold_in(jax.random.fold_in(key, jnp.uint32(0)), iteration)


def build_outputs(model: Model) -> Callable[..., Any]:
    """Return the function that computes the outputs of the first rows of a block; not yet compiled.

    A sample's outputs depend on nothing but the sample, to the last bit: slices have one size, whatever the number of
    rows that are asked for.
    """

    def outputs_of(params: Params, model_state: PyTree[Any], x: Float[Array, "block *sample"], rows: Array) -> Array:
        def compute(number: Array, outputs: Array) -> Array:
            start = number * PREDICTED_ROWS
            part = lax.dynamic_slice_in_dim(x, start, PREDICTED_ROWS)
            return lax.dynamic_update_slice_in_dim(outputs, apply(part), start, 0)

        def apply(x: Array) -> Array:
            outputs: Array = in_full(model.apply(params, model_state, x, None, False)[0])
            return outputs

        outputs = jax.eval_shape(apply, x)
        slices = (rows + PREDICTED_ROWS - 1) // PREDICTED_ROWS
        zeros = jnp.zeros(outputs.shape, outputs.dtype)
        filled: Array = lax.fori_loop(jnp.int32(0), slices, compute, zeros)
        return filled

    return outputs_of
