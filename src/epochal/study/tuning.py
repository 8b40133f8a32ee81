"""A short search for a learning rate, judged on samples that are held out of the training set.

The search, in full: a sixth of the training set, at most 10,000 samples chosen by the seed, is held out. Each rate is
trained on the rest, from the same weights and in the same order, for a tenth of the budget's updates, but at least 20,
or all of them where the budget has fewer (a budget of seconds: one epoch, and at least 20); without schedule and
warm-up. The rates are the default one times 1/9, 1/3, 1, 3 and 9; while the best one is the lowest or the highest, at
most twice, one more follows beyond it. The rate with the lowest held-out loss is taken. The test set has no part in it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int64

from epochal.clock import Plan, Position, Span
from epochal.config import TrainConfig
from epochal.data import Dataset, Split
from epochal.engine import Engine, default_learning_rate
from epochal.errors import DataError, OptionError
from epochal.order import Order
from epochal.run.setup import Custom, Setup, set_up
from epochal.run.training import next_chunk_length
from epochal.study.study import Tried, Tuned

_FACTOR = 3.0
_SHARE_HELD_OUT, _MOST_HELD_OUT = 6, 10_000
_SHARE_OF_BUDGET, _FEWEST_UPDATES = 10, 20
_MOST_FURTHER = 2
_HELD_OUT = 2**63  # the order of an epoch that no training reaches says which samples are held out


class Stopped(Exception):  # noqa: N818 - no error: the user asked for it
    """A search that was stopped before it had an answer."""


def tune(
    config: TrainConfig, data: Dataset, custom: Custom, should_stop: Callable[[], bool], *, in_seconds: bool = False
) -> Tuned:
    """Search the learning rate for this configuration; ``in_seconds`` where its budget is not one of updates.

    Raises `Stopped` where a stop is asked for on the way, `DataError` where the training set is too small to hold
    samples out, and `OptionError` where no rate leads to a finite loss.
    """
    held_in = hold_out(data, config.seed)
    plan = _search_plan(config, len(data.train), len(held_in.train), in_seconds)
    setup = _set_up(config, held_in, plan, custom)
    engine = dataclasses.replace(setup.engine, optimizer=_rate_in_state(setup.engine.optimizer))
    optimizer = str(setup.config.optimizer)
    losses = _search(
        default_learning_rate(optimizer, plan.batch_size),
        lambda rate: _held_out_loss(engine, plan, rate, should_stop),
    )
    tried = tuple(Tried(rate, losses[rate]) for rate in sorted(losses))
    best = min(tried, key=lambda one: one.loss)
    if not math.isfinite(best.loss):
        raise OptionError(
            f"no learning rate from {tried[0].lr:g} to {tried[-1].lr:g} trains batch size {config.batch_size} to a "
            "finite loss; give one with --lr"
        )
    return Tuned(
        model=config.model,
        optimizer=optimizer,
        batch_size=config.batch_size or plan.batch_size,
        lr=best.lr,
        tried=tried,
        updates=plan.updates,
        train=len(held_in.train),
        held_out=len(held_in.test),
        seed=config.seed,
    )


def hold_out(data: Dataset, seed: int) -> Dataset:
    """Return the training set alone, split in two: what the search trains on, and as its test set what judges it."""
    samples = len(data.train)
    held_out = min(samples // _SHARE_HELD_OUT, _MOST_HELD_OUT)
    if not held_out:
        raise DataError(f"{samples} training samples are too few to hold any out; give the learning rates with --lr")
    shuffled = Order(samples, seed).indices(_HELD_OUT, 0, samples)
    judges, rest = np.sort(shuffled[:held_out]), np.sort(shuffled[held_out:])
    return dataclasses.replace(data, train=_take(data.train, rest), test=_take(data.train, judges))


def _take(split: Split, indices: Int64[np.ndarray, " taken"]) -> Split:
    return Split(split.x[indices], split.y[indices])


def _search_plan(config: TrainConfig, samples: int, held_in: int, in_seconds: bool) -> Plan:
    """Return how each rate is trained."""
    batch_size = config.batch_size
    if isinstance(batch_size, int):
        batch_size = min(batch_size, held_in)
    assert batch_size is not None
    if in_seconds:
        updates = max(Plan(held_in, batch_size, last=config.last).updates, _FEWEST_UPDATES)
    else:
        budget = config.plan(samples).updates
        updates = min(budget, max(-(-budget // _SHARE_OF_BUDGET), _FEWEST_UPDATES))
    return Plan(held_in, batch_size, iterations=updates, last=config.last)


def _search(default: float, loss_of: Callable[[float], float]) -> dict[float, float]:
    """Return the held-out loss of each rate that was tried."""

    def rate(power: int) -> float:
        return float(f"{default * _FACTOR**power:.3g}")

    low, high = -2, 2
    losses = {power: loss_of(rate(power)) for power in range(low, high + 1)}
    for _ in range(_MOST_FURTHER):
        best = min(losses, key=lambda power: losses[power])
        if low < best < high:
            break
        further = low - 1 if best == low else high + 1
        losses[further] = loss_of(rate(further))
        low, high = min(low, further), max(high, further)
    return {rate(power): loss for power, loss in losses.items()}


class _WithRate(NamedTuple):
    inner: optax.OptState
    rate: Float[Array, ""]


def _rate_in_state(unit: optax.GradientTransformation) -> optax.GradientTransformation:
    """Return an optimizer that multiplies the changes of ``unit``, whose rate is 1, by a rate that its state holds.

    So all rates share one compilation. Every named optimizer's change is its rate times something without it.
    """

    def init(params: optax.Params) -> _WithRate:
        return _WithRate(unit.init(params), jnp.float32(1))

    def update(gradient: optax.Updates, state: _WithRate, params: Any = None) -> tuple[optax.Updates, _WithRate]:
        changes, inner = unit.update(gradient, state.inner, params)
        return jax.tree.map(lambda change: change * state.rate, changes), _WithRate(inner, state.rate)

    return optax.GradientTransformation(init, update)


def _set_up(config: TrainConfig, data: Dataset, plan: Plan, custom: Custom) -> Setup:
    plain = dataclasses.replace(
        config, lr=1.0, batch_size=plan.batch_size, epochs=None, iterations=plan.iterations, budget=None,
        schedule="constant", warmup=None,
    )  # fmt: skip
    return set_up(plain, data, custom)


def _held_out_loss(engine: Engine, plan: Plan, rate: float, should_stop: Callable[[], bool]) -> float:
    """Train with this rate and return the loss on the held-out samples, infinite where it diverges."""
    state = engine.initial_state()
    state = state._replace(optimizer_state=state.optimizer_state._replace(rate=jnp.float32(rate)))
    position, length = Position(), 8
    while left := plan.remaining(position).amount:
        if should_stop():
            raise Stopped
        batch_size = plan.next_batch_size(position)
        count = min(length, left, (plan.samples - position.offset) // batch_size)
        state, chunk = engine.run(state, position, batch_size, count)
        if not np.isfinite(chunk.losses).all():
            return math.inf
        length = next_chunk_length(length, count, chunk.seconds)
        position = plan.advance(position, Span.iterations(count))
    loss = engine.evaluate(state, engine.data.test).loss
    return loss if math.isfinite(loss) else math.inf
