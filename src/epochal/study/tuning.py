"""A short search for a learning rate, scored on validation samples that are held out of the training set.

The search, in full: a sixth of the training set, at most 10,000 samples chosen by the seed, is held out. Each rate is
trained on the rest, from the same weights and in the same order, for a tenth of the budget's updates, but at least 20,
or all of them where the budget has fewer (a budget of seconds: one epoch, and at least 20); without schedule and warm-
up, in batches of the first size where that changes. The rates are the default one times 1/9, 1/3, 1, 3 and 9; while the
best one is the lowest or the highest, at most twice, one more follows beyond it. The rate with the lowest validation
loss is taken. The test set takes no part.
Rates that are known at once are trained side by side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from epochal.clock import Plan
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine.lanes import Lanes, lanes_for
from epochal.errors import OptionError
from epochal.record.study_record import TriedRate, TuningResult
from epochal.run.custom import Custom
from epochal.study.held_out import validation_split
from epochal.study.to_target import ToTarget

_FACTOR = 3.0
_SHARE_OF_BUDGET, _FEWEST_UPDATES = 10, 20
_MOST_FURTHER = 2


def tune(
    config: TrainConfig, data: Dataset, custom: Custom, should_stop: Callable[[], bool], at_once: int | None = None
) -> TuningResult:
    """Search the learning rate for this configuration, trying so many rates ``at_once`` (`lanes_for`).

    Raises `Stopped` where a stop is asked for meanwhile, `DataError` where the training set is too small to hold
    samples out, and `OptionError` where no rate leads to a finite loss.
    """
    split = validation_split(data, config.seed)
    plan = _search_plan(config, len(data.train), len(split.train))
    plain = dataclasses.replace(
        config, lr=None, batch_size=plan.first_batch_size, epochs=None, iterations=plan.iterations, budget=None,
        schedule="constant", warmup=None, snapshots=False, checkpoint_every=None,
    )  # fmt: skip

    trials = ToTarget(plain, split, custom, should_stop, last=config.last)
    setup = trials.set_up(plan.first_batch_size, None, config.seed, plan.updates)
    default = setup.config
    assert default.lr is not None

    def losses_of(rates: Sequence[float]) -> list[float]:
        lanes = Lanes(lanes_for(at_once, len(rates), split, setup.engine.count_parameters()))
        trials.stop_when(lambda: lanes.has_failed or should_stop())

        def loss_of(rate: float) -> float:
            """Train with this rate and return the held-out loss at the end, infinite where training diverges."""
            given: dict[str, Any] = {"batch_size": plan.first_batch_size, "seed": config.seed, "limit": plan.updates}
            *_, end = trials.evaluations(lr=rate, at_once=lanes.at_once, stops=(), **given)
            loss = end.value("loss")
            return loss if math.isfinite(loss) else math.inf

        return lanes.run([partial(loss_of, rate) for rate in rates])

    losses = _search(default.lr, losses_of)
    tried = tuple(TriedRate(rate, losses[rate]) for rate in sorted(losses))

    best = min(tried, key=lambda one: one.loss)
    if not math.isfinite(best.loss):
        raise OptionError(
            f"no learning rate from {tried[0].lr:g} to {tried[-1].lr:g} trains batch size {config.batch_size} to a "
            "finite loss; give one with --lr"
        )
    # what was found, and how
    return TuningResult(
        model=config.model,
        optimizer=str(default.optimizer),
        batch_size=config.batch_size or plan.first_batch_size,
        lr=best.lr,
        tried=tried,
        updates=plan.updates,
        train=len(split.train),
        held_out=len(split.test),
        seed=config.seed,
    )


def _search_plan(config: TrainConfig, samples: int, held_in: int) -> Plan:
    """Return how each rate is trained."""
    whole = config.plan(samples)
    batch_size = "all" if config.batch_size == "all" else min(whole.first_batch_size, held_in)
    if whole.is_open:
        updates = max(Plan(held_in, batch_size, last=config.last).updates, _FEWEST_UPDATES)
    else:
        updates = min(whole.updates, max(-(-whole.updates // _SHARE_OF_BUDGET), _FEWEST_UPDATES))
    return Plan(held_in, batch_size, iterations=updates, last=config.last)


def _search(default: float, losses_of: Callable[[Sequence[float]], list[float]]) -> dict[float, float]:
    """Return the validation loss of each rate that was tried."""

    def rate(power: int) -> float:
        return float(f"{default * _FACTOR**power:.3g}")

    low, high = -2, 2
    powers = range(low, high + 1)
    losses = dict(zip(powers, losses_of([rate(power) for power in powers]), strict=True))
    for _ in range(_MOST_FURTHER):
        best = min(losses, key=lambda power: losses[power])
        if low < best < high:
            break
        further = low - 1 if best == low else high + 1
        [losses[further]] = losses_of([rate(further)])
        low, high = min(low, further), max(high, further)
    return {rate(power): loss for power, loss in losses.items()}
