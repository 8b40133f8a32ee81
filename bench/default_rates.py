"""Whether the default learning rates suit: steps to a target at the default rate beside those at the best rate.

    python bench/default_rates.py [--quick] [--only TEXT] [--json FILE]    measure what the file does not hold yet
    python bench/default_rates.py --table [--json FILE]                    print the table of what was measured

A cell is a problem (data, model, loss), an optimizer and a batch size. In each, rates a factor of 2 apart are trained
until a loss on held-out training samples is reached, from the same weights and in the same order, and so is the default
one. The target lies 2 % of the way above the best loss of a pilot with Adam. Steps are the geometric mean of three seeds,
all of which must reach it (one seed on MNIST). A trial is
ended where it needs more than 4.5 times the steps of the best one so far. Steps do not depend on the machine's load.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tables import SETS

from epochal.clock import Position
from epochal.config import TrainConfig
from epochal.data import Dataset, load_data
from epochal.engine import Engine
from epochal.run.custom import Custom
from epochal.run.defaults import rate_for
from epochal.run.setup import set_up
from epochal.study.tuning import validation_split

RESULTS = Path(__file__).with_name("default_rates.json")
MOST = 4.5  # times the best steps, after which a trial is given up
GROWTH = 1.08  # of the iterations from one evaluation to the next
DOUBLINGS = 9  # of a rate, up or down, before a cell is given up

PLAIN = ("sgd", "momentum", "adam")
OTHERS = ("nesterov", "adamw", "rmsprop", "adagrad", "lion", "adafactor")
CLASSES = ("iris", "wine", "breast cancer", "moons", "classification")
NUMBERS = ("diabetes", "friedman1", "friedman2", "regression", "sine")


# --- what is trained ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """Data, a model and a loss, with the batch sizes and optimizers that are measured on them."""

    data: str
    model: str
    sizes: tuple[int, ...]
    optimizers: tuple[str, ...] = PLAIN
    samples: int | None = None
    loss: str | None = None
    share: float = 0.02
    pilot: int = 2_000

    @property
    def name(self) -> str:
        """What stands in the table."""
        return f"{self.data} {self.model}" + (" squared error" if self.loss else "")

    @property
    def seeds(self) -> int:
        """From how many first weights and orders each rate is trained."""
        return 1 if self.samples else 3

    def config(self, **options: Any) -> TrainConfig:
        """Return the configuration of one training of it."""
        return TrainConfig(model=self.model, loss=self.loss, last="drop", **options)


ALL = 2**31
PROBLEMS = (
    Problem("digits", "mlp", (1, 8, 64, ALL)),
    Problem("mnist", "mlp", (1, 8, 64, 512, ALL), samples=10_000),
    *(Problem(name, "mlp", (1, 8, 64, ALL)) for name in ("breast cancer", "diabetes", "friedman1")),
    Problem("digits", "cnn", (1, 8, 64, ALL)),
    Problem("digits", "rnn", (1, 8, 64, ALL)),
    Problem("digits", "linear", (1, 8, 64, ALL)),
    Problem("mnist", "linear", (1, 8, 64, 512, ALL), samples=10_000),
    *(Problem(name, "mlp", (1, 8, 64, ALL)) for name in ("wine", "classification", "friedman2", "regression")),
    *(Problem(name, "linear", (1, 8, 64, ALL)) for name in ("breast cancer", "classification", "diabetes", "regression")),
    Problem("mnist", "rnn", (1, 8, 64, 512), samples=2_000),
    Problem("mnist", "cnn", (1, 8, 64, 512), samples=2_000, pilot=400),
    *(Problem(name, "mlp", (1, 8, 64, ALL)) for name in ("iris", "moons", "sine")),
    Problem("digits", "mlp", (1, 8, 64, ALL), loss="mean-squared-error"),
    Problem("digits", "mlp", (1, 8, 64, ALL), OTHERS),
    Problem("mnist", "mlp", (8, 64, 512), OTHERS, samples=10_000),
    *(Problem(name, "linear", (1, 8, 64, ALL)) for name in ("iris", "wine", "friedman1", "friedman2")),
)


def data_of(problem: Problem) -> Dataset:
    """Return the data, so many samples of them, with held-out training samples as the test set."""
    if problem.data in SETS and problem.data != "digits":
        x, y = SETS[problem.data]()
        data = load_data((x, y.astype(np.float64) if y.dtype.kind == "f" else y))
    else:
        data = load_data(problem.data)
    if problem.samples is not None:
        data = dataclasses.replace(data, train=data.train.take(np.arange(problem.samples)))
    return validation_split(data, seed=0)


def engine_of(problem: Problem, data: Dataset, optimizer: str, seed: int = 0) -> Engine:
    """Return what trains it; its rate is set for each trial."""
    config = problem.config(optimizer=optimizer, batch_size=1, iterations=1, lr=1.0, seed=seed)
    return set_up(config, data, Custom(), is_compared=True).engine


# --- one trial ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Trial:
    """Steps to the target at one rate: a number, or why there is none."""

    rate: float
    steps: float | None
    why: str
    nearest: float


def losses_of(engine: Engine, batch_size: int, limit: int) -> Iterator[tuple[int, float]]:
    """Train and yield the held-out loss after iterations that grow by 8 %, the first one before any."""
    state, iteration, next_one = engine.initial_state(), 0, 1.0
    batches = len(engine.data.train) // batch_size
    yield 0, engine.evaluate(state, engine.data.test).loss
    while iteration < limit:
        next_one = max(next_one * GROWTH, iteration + 1)
        while iteration < min(int(next_one), limit):
            epoch, done = divmod(iteration, batches)
            count = min(int(next_one) - iteration, limit - iteration, batches - done, 16_384)
            state, result = engine.run(state, Position(iteration, epoch, done * batch_size), batch_size, count)
            iteration += count
            if not np.isfinite(result.losses).all():
                yield iteration, math.inf
                return
        yield iteration, engine.evaluate(state, engine.data.test).loss


def trial(engine: Engine, batch_size: int, rate: float, target: float, limit: int) -> Trial:
    """Train at this rate until the target is reached, the training diverges, or so many steps are done."""
    engine.rate = rate
    last, nearest, first = (1, math.inf), math.inf, math.inf
    for iteration, loss in losses_of(engine, batch_size, limit):
        first = loss if iteration == 0 else first
        if not math.isfinite(loss):
            return Trial(rate, None, "diverged", nearest)
        nearest = min(nearest, loss)
        if loss <= target:
            return Trial(rate, _crossing(last, (iteration, loss), target), "reached", nearest)
        last = (max(1, iteration), loss)
    return Trial(rate, None, "diverged" if last[1] > 2 * first else "cut", nearest)


def _crossing(before: tuple[int, float], after: tuple[int, float], target: float) -> float:
    """Return where the loss was the target, on a straight line over the logarithm of the steps."""
    (one, high), (two, low) = before, after
    share = (high - target) / (high - low) if math.isfinite(high) and high > low else 1.0
    return float(round(one * (max(1, two) / one) ** share, 1))


def of_seeds(trials: list[Trial]) -> Trial:
    """Return the geometric mean of several seeds' steps: none where one of them did not reach the target."""
    nearest = max(one.nearest for one in trials)
    failed = [one.why for one in trials if one.steps is None]
    if failed:
        return Trial(trials[0].rate, None, "diverged" if "diverged" in failed else "cut", nearest)
    steps = statistics.geometric_mean(one.steps or math.nan for one in trials)
    return Trial(trials[0].rate, round(steps, 1), "reached", nearest)


# --- one cell -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Search:
    """All trials of a cell: the best rate is climbed to, and both of its sides are followed until they are given up."""

    try_one: Callable[[float, int], Trial]
    limit: int
    trials: dict[float, Trial] = field(default_factory=dict)

    @property
    def best(self) -> Trial | None:
        """The trial of fewest steps."""
        reached = [one for one in self.trials.values() if one.steps is not None]
        return min(reached, key=lambda one: one.steps or math.inf, default=None)

    def take(self, rate: float) -> Trial:
        """Try a rate, for 4.5 times the fewest steps so far."""
        rate = float(f"{rate:.4g}")
        if rate not in self.trials:
            steps = None if self.best is None else self.best.steps
            most = self.limit if steps is None else min(self.limit, max(8, math.ceil(MOST * steps)))
            self.trials[rate] = self.try_one(rate, most)
        return self.trials[rate]

    def run(self, start: float) -> None:
        """Follow both sides of a rate."""
        self.take(start)
        for factor in (2.0, 0.5):
            for power in range(1, DOUBLINGS + 1):
                one = self.take(start * factor**power)
                if one.steps is None and (self.best is not None or (factor > 1 and one.why == "diverged")):
                    break


def measure(problem: Problem, keep: dict[str, Any], save: Callable[[], None]) -> None:
    """Measure the cells of a problem that are not kept yet."""
    missing = [
        optimizer
        for optimizer in problem.optimizers
        if any(key(problem, optimizer, size) not in keep["cells"] for size in problem.sizes)
    ]
    if not missing:
        return
    data = data_of(problem)
    samples = len(data.train)
    target = keep["targets"].setdefault(problem.name, None) or pilot(problem, data)
    keep["targets"][problem.name] = target

    for optimizer in missing:
        start, limit = None, 60 * samples if problem.samples else 400 * samples
        engines = [engine_of(problem, data, optimizer, seed) for seed in range(problem.seeds)]
        for engine in engines[1:]:
            engine.take_over(engines[0])
        for size in problem.sizes:
            name, batch_size = key(problem, optimizer, size), min(size, samples)
            if name in keep["cells"]:
                continue
            began = time.process_time()
            default = rate_for(optimizer, batch_size, squared_error=data.class_names is None and data.is_table)

            def try_one(rate: float, most: int, size: int = batch_size, engines: list[Engine] = engines) -> Trial:
                trials = []
                for engine in engines:
                    trials.append(trial(engine, size, rate, target, most))
                    if trials[-1].steps is None:
                        break
                return of_seeds(trials)

            search = Search(try_one, limit)
            search.run(start or default)
            search.take(default)
            best = search.best
            if best is not None:
                start, limit = best.rate * (4 if size < 64 else 1), math.ceil(MOST * (best.steps or 1))
            keep["cells"][name] = {
                "batch_size": batch_size,
                "samples": samples,
                "trials": [dataclasses.asdict(search.trials[rate]) for rate in sorted(search.trials)],
            }
            save()
            shown = "-" if best is None else f"{best.steps:,.0f} at {best.rate:g}"
            print(f"{name:44} {shown:>20}  {len(search.trials):2} trials  {time.process_time() - began:6.1f} s", flush=True)


def key(problem: Problem, optimizer: str, size: int) -> str:
    """Return the name of a cell."""
    return f"{problem.name} {optimizer} {'all' if size == ALL else size}"


def pilot(problem: Problem, data: Dataset) -> float:
    """Return the target loss: a share of the way above the best loss that Adam reaches."""
    engine, best, first = engine_of(problem, data, "adam"), math.inf, math.inf
    for rate in (0.001, 0.004):
        engine.rate = rate
        for iteration, loss in losses_of(engine, min(32, len(data.train)), problem.pilot):
            first = loss if iteration == 0 else first
            best = min(best, loss)
    return float(f"{best + problem.share * (first - best):.4g}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only problems whose name contains this")
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    keep = json.loads(given.json.read_text()) if given.json.exists() else {"targets": {}, "cells": {}}

    def save() -> None:
        given.json.write_text(json.dumps(keep, indent=1) + "\n")

    for problem in PROBLEMS:
        if given.only in problem.name:
            measure(problem, keep, save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
