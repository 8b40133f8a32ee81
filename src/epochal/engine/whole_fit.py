"""The compiled whole fit: many epochs in one call, for tables of any N up to a size, in one program.

N, the batch size, learning rate, weight decay, seed and epochs are arguments, so that the second fit of a kind takes
milliseconds. The table is padded to one of few sizes (`padded_size`), and a batch is computed in slices of a fixed
number of rows, of which those that are not the batch's weigh nothing; loops run over the slices that hold a sample, so
that padding costs memory and hardly any time.

The order, the first weights and the noise are those of the train step, and so are the gradients but for their last
bits, because sums over padded slices round otherwise. That belongs to the estimators alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Float32, Int32, PyTree, Shaped, UInt32

from epochal.audit import Audit, id_hashes
from epochal.engine.compile import PROGRAMS, Programs
from epochal.engine.micro_batch import fast_micro_batch
from epochal.engine.optimizer import Optimizer
from epochal.engine.runtime import check_process
from epochal.engine.state import INITIAL_WEIGHTS, TRAINING_NOISE, Params, State, key_of_words
from epochal.engine.task import Losses
from epochal.errors import ModelError
from epochal.models import Model
from epochal.models.model import in_full
from epochal.order import Grid, Order, compiled_keys, compiled_order

MOST_EPOCHS = 1024
"""The most epochs of one call."""

_FEWEST_ROWS, _MOST_FEWEST_ROWS, _FEWEST_VALUES = 64, 512, 1 << 15
_FINE = 1 << 14
_SLICE = 256
_PREDICTED_ROWS, _PREDICTED_VALUES, _MOST_PREDICTED = 64, 1 << 18, 4096


# --- sizes ----------------------------------------------------------------------------------------------------------


def padded_size(samples: int, values: int) -> int:
    """Return how many rows a table of N samples of so many values is padded to.

    Small tables share one size, of about 32,768 values; then sizes are powers of two, and above 16,384 rows eighths
    of one, so that at most 12.5 % is waste. None lies on both sides of 4,096, where the order changes its rounds.

    >>> [padded_size(n, values=4) for n in (1, 150, 512, 513, 60_000, 70_000)]
    [512, 512, 512, 1024, 61440, 73728]
    >>> padded_size(150, values=5_000)
    256
    """
    fewest = _power_of_two(max(_FEWEST_ROWS, min(_MOST_FEWEST_ROWS, _FEWEST_VALUES // max(values, 1))))
    whole = max(fewest, _power_of_two(samples))
    if whole <= _FINE:
        return whole
    step = whole // 16  # an eighth of the smaller power of two
    return -(-samples // step) * step


def slice_rows(batch_size: int, samples: int, values: int) -> int:
    """Return how many rows of a batch are computed at once: all that the cache holds, but few of one of over N.

    >>> [slice_rows(b, 150, values=4) for b in (1, 32, 200, 10_000)]
    [1, 32, 200, 256]
    """
    rows = batch_size if batch_size <= max(_SLICE, samples) else _SLICE
    return min(rows, fast_micro_batch(rows, max(values, 1)))


def _power_of_two(number: int) -> int:
    """Return the least power of two that is at least this number."""
    return 1 << max(0, number - 1).bit_length()


# --- what is compiled -----------------------------------------------------------------------------------------------


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
            start = number * _PREDICTED_ROWS
            part = lax.dynamic_slice_in_dim(x, start, _PREDICTED_ROWS)
            return lax.dynamic_update_slice_in_dim(outputs, apply(part), start, 0)

        def apply(x: Array) -> Array:
            outputs: Array = in_full(model.apply(params, model_state, x, None, False)[0])
            return outputs

        outputs = jax.eval_shape(apply, x)
        slices = (rows + _PREDICTED_ROWS - 1) // _PREDICTED_ROWS
        zeros = jnp.zeros(outputs.shape, outputs.dtype)
        filled: Array = lax.fori_loop(jnp.int32(0), slices, compute, zeros)
        return filled

    return outputs_of


# --- the host's side ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which epochs to train, with which numbers: what `FitArguments` says, as Python's numbers."""

    order: Order
    batch_size: int
    epoch: int
    epochs: int
    iteration: int
    rate: float
    decay: float
    units: Float32[np.ndarray, " outputs"] | None = None


class EpochRecords(NamedTuple):
    """`Record` on the host, of the epochs that there were."""

    losses: Float32[np.ndarray, " epochs"]
    samples: UInt32[np.ndarray, " epochs"]
    hash_low: UInt32[np.ndarray, " epochs"]
    hash_high: UInt32[np.ndarray, " epochs"]

    def are_exact(self, expected: Audit) -> bool:
        """Return whether each epoch used the samples of this audit."""
        used = (self.samples, self.hash_low, self.hash_high)
        due = (expected.samples, expected.low, expected.high)
        return all(bool((one == other).all()) for one, other in zip(used, due, strict=True))


@dataclass(frozen=True, slots=True)
class WholeFit:
    """Trains one kind of model on tables of any size, without a run; holds nothing of them.

    Attributes:
        losses: ``(outputs, targets) -> (b,)``, one loss a sample.
        batch_size: the largest that there will be.
        programs: where compiled programs are kept.
    """

    model: Model
    losses: Losses
    optimizer: Optimizer
    batch_size: int
    programs: Programs = field(default=PROGRAMS, repr=False)

    def begin(self, seed: int) -> State:
        """Return the state before the first iteration, a pure function of model, optimizer and seed."""
        check_process()
        words = _words(seed)
        what = ("begin", self.model, self.optimizer)
        state: State = self.programs.get(what, lambda: build_begin(self.model, self.optimizer), words).run(words)
        return state

    def run(self, state: State, table: Table, stretch: Stretch) -> tuple[State, EpochRecords]:
        """Train for 1 to `MOST_EPOCHS` epochs; return the new state, and what each epoch reports."""
        order = stretch.order
        if not 1 <= stretch.epochs <= MOST_EPOCHS:
            raise ValueError(f"a call trains for 1 to {MOST_EPOCHS} epochs, not {stretch.epochs}")
        size = min(stretch.batch_size, order.samples)

        rows = slice_rows(self.batch_size, order.samples, math.prod(table.x.shape[1:]))
        config = FitConfig(self.model, self.losses, self.optimizer, rows, rows < self.batch_size, order.rounds)
        arguments = FitArguments(
            Grid(*(np.array(number, np.uint32) for number in order.grid)),
            np.array(size, np.uint32),
            _words(order.seed),
            np.array(stretch.epoch, np.uint32),
            np.array(stretch.epochs, np.int32),
            np.array(stretch.iteration & 0xFFFFFFFF, np.uint32),
            np.array(stretch.rate, np.float32),
            np.array(stretch.decay, np.float32),
            stretch.units,
        )

        program = self.programs.get(config, lambda: build_fit(config), state, table, arguments)
        state, record = program.run(state, table, arguments)
        return state, EpochRecords(*(np.array(values)[: stretch.epochs] for values in record))

    def restore(self, seed: int, kept: Kept) -> State:
        """Return a state that was kept; an optimizer with another state than the one that was kept begins anew.

        Raises `ModelError` for weights of other shapes.
        """
        begun = self.begin(seed)
        if _shapes(begun.params) != _shapes(kept.params):
            raise ModelError(f"the weights that were kept have other shapes than those of this '{self.model.name}'")

        leaves, structure = jax.tree.flatten(begun[1:])
        rest = jax.tree.unflatten(structure, kept.rest if _shapes(leaves) == _shapes(kept.rest) else leaves)
        return State(*jax.device_put((kept.params, *rest)))


class Kept(NamedTuple):
    """A state as NumPy arrays, which any process can read.

    Attributes:
        params: the weights, in the model's own structure.
        rest: the arrays of the model's and the optimizer's state, in a fixed order.
    """

    params: PyTree[Any]
    rest: list[Shaped[np.ndarray, "..."]]

    @classmethod
    def of(cls, state: State) -> Kept:
        """Copy a state from the device."""
        return cls(jax.tree.map(np.array, state.params), [np.array(leaf) for leaf in jax.tree.leaves(state[1:])])


def _shapes(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def count_weights(params: PyTree[Any]) -> int:
    """Return how many numbers training adjusts."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def outputs_of(
    model: Model,
    params: PyTree[Any],
    x: Float32[np.ndarray, "n *sample"],
    model_state: PyTree[Any] = (),
    programs: Programs = PROGRAMS,
) -> Float32[np.ndarray, "n outputs"]:
    """Return a model's outputs for each sample, by blocks of one shape: a sample's do not depend on other samples."""
    check_process()
    params, model_state = jax.device_put((params, model_state))
    fitting = min(_MOST_PREDICTED, _PREDICTED_VALUES // math.prod(x.shape[1:]))
    block = max(_PREDICTED_ROWS, fitting // _PREDICTED_ROWS * _PREDICTED_ROWS)

    parts = []
    for start in range(0, len(x), block):
        piece = x[start : start + block]
        rows = np.array(len(piece), np.int32)
        if len(piece) < block:
            piece = np.concatenate([piece, np.zeros((block - len(piece), *x.shape[1:]), np.float32)])

        arguments = (params, model_state, piece, rows)
        program = programs.get(("outputs", model), lambda: build_outputs(model), *arguments)
        parts.append(np.asarray(program.run(*arguments))[:rows])
    return np.concatenate(parts)


def put_table(x: Float32[np.ndarray, "rows *sample"], y: Any, weight: Any = None) -> Table:
    """Copy a table of N samples to the device, padded with rows of zeros that weigh nothing.

    Args:
        x: N samples, or `padded_size` rows of which the first N are: those need no copy here.
        y: ``(n,)`` int32 classes, or ``(n, k)`` float32 targets.
        weight: ``(n,)``, how much each sample's loss counts; ``None``: all count 1.
    """
    size = padded_size(len(y), math.prod(x.shape[1:]))
    counts = np.ones(len(y), np.float32) if weight is None else np.asarray(weight, np.float32)

    def padded(values: Any) -> Any:
        if len(values) == size:
            return values
        whole = np.zeros((size, *values.shape[1:]), values.dtype)
        whole[: len(values)] = values
        return whole

    return Table(*jax.device_put((padded(x), padded(y), padded(counts))))


def _words(seed: int) -> tuple[UInt32[np.ndarray, ""], UInt32[np.ndarray, ""]]:
    return np.array(seed & 0xFFFFFFFF, np.uint32), np.array(seed >> 32, np.uint32)
