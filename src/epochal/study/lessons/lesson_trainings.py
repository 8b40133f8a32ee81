"""The trainings of a lesson: ordinary ones, of several seeds, side by side, none of which leaves a folder."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine.lanes import Lanes, lanes_for
from epochal.errors import DataError, DivergedError
from epochal.run.api import train_in_memory
from epochal.run.callbacks import StopWhen
from epochal.run.custom import Custom
from epochal.run.run import Run
from epochal.run.setup import Setup, set_up
from epochal.study.in_turn import FollowedInTurn
from epochal.study.lessons.kept_lesson import KeptLesson
from epochal.study.lessons.lesson_result import LessonCurve, Value, curve_of
from epochal.study.runner import RunStart, StudyCallback
from epochal.words.catalogue import Words, say

_GUESSING = 0.9  # of the loss that knows the classes' shares alone: whoever is above has learned nothing


class LessonStopped(Exception):  # noqa: N818 - no error: the user asked for it
    """A lesson that was stopped before it had an answer."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a lesson works with.

    Attributes:
        seeds: of its trainings.
        callback: follows them.
        should_stop: asked again and again.
        at_once: trainings side by side; ``None`` for as many as there are processors.
        kept: what trainings came to already.
    """

    seeds: tuple[int, ...]
    callback: StudyCallback = field(default_factory=StudyCallback)
    should_stop: Callable[[], bool] = lambda: False
    at_once: int | None = None
    kept: KeptLesson = field(default_factory=KeptLesson)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a lesson: what is trained with each seed.

    Attributes:
        name: of its progress.
        options: of `TrainConfig`.
        optimizer: an Optax transformation in place of a named one.
        measures_training: whether the loss of the whole training set is measured at the end.
    """

    name: str
    options: Mapping[str, Any]
    optimizer: Any = None
    measures_training: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one training came to.

    Attributes:
        updates: that it made.
        train_loss: over the whole training set at the end, where it was asked for; else the last epoch's mean.
        test_loss, test_accuracy: at the end.
        has_learned: whether its loss on the training set is well below that of guessing by the classes' shares.
        way: (updates, train loss of that epoch, test accuracy) at its evaluations.
    """

    parameters: int
    updates: int
    train_loss: float
    test_loss: float
    test_accuracy: float
    has_learned: bool
    seconds: float
    way: tuple[tuple[int, float, float], ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Outcome:
        """Read what `dataclasses.asdict` gave."""
        numbers = {name: float(values[name]) for name in ("train_loss", "test_loss", "test_accuracy", "seconds")}
        return cls(
            parameters=int(values["parameters"]),
            updates=int(values["updates"]),
            has_learned=bool(values["has_learned"]),
            way=tuple((int(updates), float(loss), float(right)) for updates, loss, right in values["way"]),
            **numbers,
        )


def train_cases(cases: Sequence[Case], data: Dataset, work: Work) -> list[tuple[Outcome, ...]]:
    """Train each case with each seed, side by side, and return a case's outcomes in the order of the seeds.

    Raises `LessonStopped` where a stop was asked for meanwhile.
    """
    classification(data)
    total = len(cases) * len(work.seeds)
    largest = max(_set_up(case, data, work.seeds[0], 1).engine.count_parameters() for case in cases)
    at_once = lanes_for(work.at_once, total, data, largest)
    lanes, turn, guess = Lanes(at_once, work.should_stop), threading.RLock(), _guessing_loss(data)

    def one(case: Case, seed: int, number: int) -> Outcome:
        key = json.dumps(["training", case.name, case.options, seed])
        return work.kept.get(key, lambda: dataclasses.asdict(trained(case, seed, number)), Outcome.from_dict)

    def trained(case: Case, seed: int, number: int) -> Outcome:
        setup = _set_up(case, data, seed, at_once)
        name = case.name if len(work.seeds) == 1 else f"{case.name}, seed {seed}"
        about = RunStart(name, setup.config, number, total, setup.plan, at_once)
        with FollowedInTurn(work.callback.follow, about, turn) as followers:
            try:
                run = train_in_memory(setup, (*followers, StopWhen(lambda: lanes.is_stopping)))
            except DivergedError:
                return _diverged(setup)
        if run.status != "finished":
            raise LessonStopped
        return _outcome(run, case, guess)

    numbered = [(case, seed) for case in cases for seed in work.seeds]
    tasks = [partial(one, case, seed, number) for number, (case, seed) in enumerate(numbered, start=1)]
    outcomes = lanes.run(tasks)
    if len(outcomes) < total:
        raise LessonStopped
    each = len(work.seeds)
    return [tuple(outcomes[i : i + each]) for i in range(0, total, each)]


def classification(data: Dataset) -> Dataset:
    """Return the data if they have classes. Raises `DataError` for others."""
    if data.class_names is None:
        raise DataError(f"'{data.name}' is a regression, and lessons count what is classified right; choose other data")
    return data


def first_samples(data: Dataset, most: int) -> Dataset:
    """Return the data set with the first so many of its training samples."""
    if len(data.train) <= most:
        return data
    return dataclasses.replace(data, train=data.train.take(np.arange(most)))


def _set_up(case: Case, data: Dataset, seed: int, at_once: int) -> Setup:
    config = TrainConfig(**{**case.options, "data": data.name, "seed": seed})
    custom = Custom(optimizer=case.optimizer, data=True, at_once=at_once)
    return set_up(config, data, custom, is_compared=True)


def _outcome(run: Run, case: Case, guess: float) -> Outcome:
    rows = run.history.epochs
    train_loss = run.evaluate(split="train").loss if case.measures_training else rows[-1].train_loss
    evaluated = [row for row in rows if row.test_accuracy is not None]
    way = tuple((row.end_iteration, row.train_loss, row.test_accuracy or 0.0) for row in evaluated)
    return Outcome(
        parameters=run.file.model.parameters,
        updates=run.history.iterations,
        train_loss=train_loss,
        test_loss=run.test_metrics["loss"],
        test_accuracy=run.test_metrics["accuracy"],
        has_learned=train_loss < _GUESSING * guess,
        seconds=sum(row.seconds for row in rows),
        way=way,
    )


def _diverged(setup: Setup) -> Outcome:
    """Return what stands for a training whose loss was not finite."""
    nan, parameters = math.nan, setup.engine.count_parameters()
    return Outcome(parameters, setup.plan.updates, nan, nan, nan, has_learned=False, seconds=0.0, way=())


def _guessing_loss(data: Dataset) -> float:
    """Return the cross-entropy of guessing by the shares of the classes."""
    shares = np.bincount(np.asarray(data.train.whole().y)) / len(data.train)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def epochs_between(epochs: int, wanted: int = 40) -> int:
    """Return after how many epochs to evaluate, so that there are about so many evaluations."""
    return max(1, round(epochs / wanted))


def learned(outcomes: Sequence[Outcome], value: Callable[[Outcome], float]) -> Value:
    """Return the value of each seed that has learned, or the words for trainings that did not."""
    values = tuple(value(one) for one in outcomes if one.has_learned)
    return values or say("taught.did_not_train")


def curve_of_ways(
    name: Words | str, outcomes: Sequence[Outcome], value: Callable[[tuple[int, float, float]], float]
) -> LessonCurve:
    """Return the curve of something over the updates, of all seeds."""
    ways = [one.way for one in outcomes if one.way]
    if not ways:
        return LessonCurve(name, (), ())
    return curve_of(name, [float(point[0]) for point in ways[0]], [[value(point) for point in way] for way in ways])
