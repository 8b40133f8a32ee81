"""Trains to a target: until the held-out loss or accuracy is reached, wherever in an epoch that is.

Epochs are too coarse a clock for that, as a batch of 64 may take one and a half: here evaluations stand at iterations
that grow by 7 %, or by more while the target is still far, and the crossing is interpolated between two of them in
the logarithm of the updates. The learning rate is a value and no part of a program, so that a batch size is compiled
once, whatever is tried; for that an epoch's smaller last batch is left out. A trial ends where its limit is, and at
once where it diverges.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from epochal.clock import Last, Position, Span
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine import Engine, Evaluation, State
from epochal.errors import OptionError
from epochal.run.custom import Custom
from epochal.run.fit import next_chunk_length
from epochal.run.setup import Setup, set_up
from epochal.study.target import Ending, Target, Trial

_FIRST_LENGTH = 8
_GROWTH = 1.07
_MOST_GROWTH = 2.0
_STEEPEST = 4.0  # no error falls faster than by this power of the updates


class Stopped(Exception):  # noqa: N818 - no error: the user asked for it
    """A search that was stopped before it had an answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An evaluation on the way.

    Attributes:
        updates: made until then.
        evaluation: of the held-out samples; ``None`` where the training diverged since the one before.
        state: the weights then; used up as soon as the next evaluation is asked for.
        train_loss: the mean over the batches since the one before; NaN at the beginning.
    """

    updates: int
    evaluation: Evaluation | None
    state: State
    position: Position
    train_loss: float

    def value(self, metric: str) -> float:
        """Return the held-out loss or accuracy; NaN where the training diverged. Raises `OptionError` for no such."""
        if self.evaluation is None:
            return math.nan
        if metric not in self.evaluation.values:
            raise OptionError(f"there is no {metric} of numbers; give a target loss instead")
        return self.evaluation.values[metric]


class ToTarget:
    """Trains one configuration with any batch size, rate and seed; all of its trials share what is compiled.

    >>> trials = ToTarget(TrainConfig(model="linear"), validation_split(load_data("digits"), 0))  # doctest: +SKIP
    >>> trials.train(Target("accuracy", 0.9), batch_size=64, lr=0.3, seed=0, limit=1_000).steps  # doctest: +SKIP
    57.3

    Args:
        config: what is trained; its batch size, rate, seed, budget and schedule are not looked at.
        split: trained on its training set, and judged on its test set: samples that are held out.
        custom: parts of the user's own.
        should_stop: asked after each chunk of iterations; a true answer raises `Stopped`.
        begin: returns the state that each training begins with. Default: the seed's initial weights.
        last: whether an epoch's smaller last batch is trained on, which is another program then.

    Attributes:
        compile_seconds: spent in compilation so far.
    """

    def __init__(
        self,
        config: TrainConfig,
        split: Dataset,
        custom: Custom | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        begin: Callable[[Engine], State] = lambda engine: engine.initial_state(),
        last: Last = "drop",
    ) -> None:
        self._config = dataclasses.replace(
            config, epochs=None, budget=None, schedule="constant", warmup=None, last=last, snapshots=False,
            checkpoint_every=None, patience=None, metrics=None,
        )  # fmt: skip
        self._split, self._custom, self._should_stop = split, custom or Custom(), should_stop
        self._begin = begin
        self.compile_seconds = 0.0
        self._first: Setup | None = None
        self._lengths: dict[int, int] = {}  # of chunks that last long enough, and no longer: a stop waits for one
        self._turn = threading.Lock()

    def train(
        self,
        target: Target,
        *,
        batch_size: int,
        lr: float,
        seed: int,
        limit: int,
        is_race: bool = False,
        at_once: int = 1,
    ) -> Trial:
        """Train until the target is reached, but for at most ``limit`` updates.

        ``is_race`` says that another rate needs fewer already, so that reaching the limit means to be cut off;
        ``at_once`` how many are trained side by side, this one included, which changes no bit.
        """
        nearest, before = math.nan, None

        def ended(why: Ending, updates: int, steps: float | None = None) -> Trial:
            return Trial(batch_size, lr, seed, steps, why, nearest, updates)

        given: dict[str, Any] = {"batch_size": batch_size, "lr": lr, "seed": seed, "limit": limit, "at_once": at_once}
        for seen in self.evaluations(target, **given):
            value = seen.value(target.metric)
            nearest = target.nearer(nearest, value)
            if not math.isfinite(value):
                return ended("diverged", seen.updates)
            if target.is_reached(value):
                return ended("reached", seen.updates, _crossing(target, before, (seen.updates, value)))
            before = (seen.updates, value)
        return ended("cut" if is_race else "limit", limit)

    def evaluations(
        self,
        target: Target | None = None,
        *,
        batch_size: int,
        lr: float,
        seed: int,
        limit: int,
        at_once: int = 1,
        stops: Sequence[int] | None = None,
    ) -> Iterator[Seen]:
        """Train, and yield an evaluation at the beginning, on the way and after ``limit`` updates.

        They are nearer to each other the nearer the target is, and 7 % apart without one; or after as many updates as
        ``stops`` say, rising. A training that diverges ends, with a last one that has no evaluation.
        """
        setup = self.set_up(batch_size, lr, seed, limit, at_once)
        engine, plan = setup.engine, setup.plan
        state, position, train_loss = self._begin(engine), Position(), math.nan
        engine.prepare(state, batch_size)
        due = None if stops is None else iter(stops)

        while True:
            seen = Seen(position.iteration, engine.evaluate(state, self._split.test), state, position, train_loss)
            self._note_compilation(engine)
            yield seen
            if position.iteration >= limit:
                return

            following = _next(target, seen) if due is None else next(due, limit)
            stop, losses = min(limit, following), []
            while position.iteration < stop:
                if self._should_stop():
                    raise Stopped
                length = self._lengths.get(batch_size, _FIRST_LENGTH)
                count = min(stop - position.iteration, plan.iterations_alike(position), length)
                state, chunk = engine.run(state, position, plan.next_batch_size(position), count)
                position = plan.advance(position, Span.iterations(count))
                self._lengths[batch_size] = next_chunk_length(length, count, chunk.seconds)
                losses.append(chunk.losses)
                if not np.isfinite(chunk.losses).all():
                    yield Seen(position.iteration, None, state, position, math.nan)
                    return
            train_loss = float(np.mean(np.concatenate(losses), dtype=np.float64))

    def stop_when(self, should_stop: Callable[[], bool]) -> None:
        """Ask this from here on whether to stop."""
        self._should_stop = should_stop

    @property
    def is_stopping(self) -> bool:
        """Whether a stop is asked for."""
        return self._should_stop()

    def _note_compilation(self, engine: Engine) -> None:
        with self._turn:
            self.compile_seconds += engine.compile_seconds
            engine.compile_seconds = 0.0

    def set_up(
        self, batch_size: int, lr: float | None = None, seed: int = 0, limit: int = 1, at_once: int = 1
    ) -> Setup:
        """Return everything that one training needs; the data lie on the device once for all."""
        config = dataclasses.replace(self._config, batch_size=batch_size, lr=lr, seed=seed, iterations=limit)
        with self._turn:
            custom = dataclasses.replace(self._custom, at_once=at_once)
            setup = set_up(config, self._split, custom, is_compared=True)
            if self._first is None:
                self._first, self._custom = setup, setup.custom  # own parts are tried once
            setup.engine.take_over(self._first.engine)
        return setup


def _next(target: Target | None, seen: Seen) -> int:
    """Return after how many updates the next evaluation is due: later while the target is far."""
    factor = _GROWTH
    if target is not None:
        distance = target.distance(seen.value(target.metric))
        factor = min(max(distance ** (1 / _STEEPEST), _GROWTH), _MOST_GROWTH) if distance > 0 else _GROWTH
    return max(seen.updates + 1, round(seen.updates * factor))


def _crossing(target: Target, before: tuple[int, float] | None, after: tuple[int, float]) -> float:
    """Return when the target was reached between two evaluations, in log updates; 0 where it was at the beginning."""
    updates, value = after
    if before is None or not before[0]:
        return float(updates)
    share = (target.value - before[1]) / (value - before[1])
    return float(before[0] * (updates / before[0]) ** share)
