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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, PyTree, Shaped, UInt32

from epochal.audit import Audit
from epochal.engine.compile import PROGRAMS, Programs
from epochal.engine.fit_program import (
    MOST_EPOCHS,
    PREDICTED_ROWS,
    FitArguments,
    FitConfig,
    Table,
    build_begin,
    build_fit,
    build_outputs,
)
from epochal.engine.micro_batch import fast_micro_batch
from epochal.engine.optimizer import Optimizer
from epochal.engine.runtime import check_process
from epochal.engine.state import State
from epochal.engine.task import Losses
from epochal.errors import ModelError
from epochal.models import Model
from epochal.order import Grid, Order

_FEWEST_ROWS, _MOST_FEWEST_ROWS, _FEWEST_VALUES = 64, 512, 1 << 15
_FINE = 1 << 14
_SLICE = 256
_PREDICTED_VALUES, _MOST_PREDICTED = 1 << 18, 4096


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
    block = max(PREDICTED_ROWS, fitting // PREDICTED_ROWS * PREDICTED_ROWS)

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
