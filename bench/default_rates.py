"""Whether the default learning rates suit: updates to a target at the default rate beside those at the best rate.

    python bench/default_rates.py [--quick] [--only TEXT] [--json FILE]    measures what the file does not hold yet
    python bench/default_rates.py --again                                  measures new default rates in its cells alone
    python bench/default_rates.py --table [--cells] [--json FILE]          prints what was measured

A cell is a problem (data, model, loss), an optimizer and a batch size. In each, rates a factor of 2 apart are trained
until a loss on held-out training samples is reached, from the same weights and in the same order, and so is the default
one. The target lies 2 % (MNIST: 4 %) of the way from the best loss of a pilot with Adam back to the first one. In
tables, of which too few samples could be held out, it is the loss on the training samples, and 10 % (linear: 5 %, as a
tenth is reached within 2 to 5 updates). A target reached before the first evaluation counts as one reached there, after
8 updates: in between a count is a guess. Updates are the geometric mean of three seeds, all of which must reach it; of
one seed for cnn and rnn, and on MNIST, of which 10,000 or 2,000 images are used.
A trial is given up where it needs more than 4.5 times the updates of the best one so far. Counts of updates do not
depend on the machine's load, so other work may run beside it. Where the default rates have changed since, only those
are trained anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, load_data
from epochal.run.defaults import Facts, rate_for
from epochal.study.target import Target, Trial
from epochal.study.to_target import ToTarget
from epochal.study.tuning import validation_split
from tables import SETS

RESULTS = Path(__file__).with_name("default_rates.json")
FIRST = 8  # updates before the first evaluation: a smaller count is a guess, and taken as this
MOST = 4.5  # times the best updates, after which a trial is given up
DOUBLINGS = 9  # of a rate, up or down, before a cell is given up
ALL = 2**31

PLAIN = ("sgd", "momentum", "adam")
OTHERS = ("nesterov", "adamw", "rmsprop", "adagrad", "lion", "adafactor")


# --- what is trained ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """Data, a model and a loss, with the batch sizes and optimizers that are measured on them."""

    data: str
    model: str
    sizes: tuple[int, ...] = (1, 8, 64, ALL)
    optimizers: tuple[str, ...] = PLAIN
    samples: int | None = None
    loss: str | None = None
    pilot: int = 2_000

    @property
    def name(self) -> str:
        """What stands in the table."""
        return f"{self.data} {self.model}" + (" squared error" if self.loss else "")

    @property
    def is_small(self) -> bool:
        """Whether it is one of the tables, where the few samples that could be held out judge by chance."""
        return self.data in SETS and self.data != "digits"

    @property
    def share(self) -> float:
        """How far the target is from the best loss, as a share of the way from there to the first one."""
        if self.is_small:
            return 0.05 if self.model == "linear" else 0.1
        return 0.04 if self.samples else 0.02

    @property
    def seeds(self) -> range:
        """From how many first weights and orders each rate is trained."""
        return range(1 if self.samples or self.model in ("cnn", "rnn") else 3)

    def split(self) -> Dataset:
        """Return the data, so many samples of them, with held-out training samples as the test set."""
        if self.is_small:
            x, y = SETS[self.data]()
            data = load_data((x, y.astype(np.float64) if y.dtype.kind == "f" else y))
        else:
            data = load_data(self.data)
        if self.samples is not None:
            data = dataclasses.replace(data, train=data.train.take(np.arange(self.samples)))
        return dataclasses.replace(data, test=data.train) if self.is_small else validation_split(data, seed=0)

    def trials(self, optimizer: str, split: Dataset) -> ToTarget:
        """Return what trains it."""
        return ToTarget(TrainConfig(model=self.model, loss=self.loss, optimizer=optimizer), split)


def key(problem: Problem, optimizer: str, size: int) -> str:
    """Return the name of a cell."""
    return f"{problem.name} {optimizer} {'all' if size == ALL else size}"


PROBLEMS = (
    Problem("digits", "mlp"),
    *(Problem(name, "mlp") for name in ("breast cancer", "diabetes", "friedman1")),
    Problem("mnist", "mlp", (1, 8, 64, 512), samples=10_000),
    Problem("digits", "cnn"),
    Problem("digits", "rnn"),
    Problem("digits", "linear"),
    *(Problem(name, "linear") for name in ("breast cancer", "diabetes")),
    *(Problem(name, "mlp") for name in ("wine", "classification", "friedman2", "regression")),
    Problem("mnist", "linear", (1, 8, 64, 512), samples=10_000),
    Problem("mnist", "rnn", (8, 64, 512), samples=2_000),
    Problem("mnist", "cnn", (8, 64), samples=2_000, pilot=400),
    *(Problem(name, "linear") for name in ("classification", "regression")),
    *(Problem(name, "mlp") for name in ("iris", "moons", "sine")),
    Problem("digits", "mlp", loss="mean-squared-error"),
    Problem("digits", "mlp", optimizers=OTHERS),
    Problem("mnist", "mlp", (8, 64, 512), OTHERS, samples=10_000),
    Problem("mnist", "mlp", (ALL,), samples=10_000),
    *(Problem(name, "linear") for name in ("iris", "wine", "moons", "friedman1", "friedman2", "sine")),
    Problem("digits", "linear", loss="mean-squared-error"),
    Problem("mnist", "linear", (8, 64, 512), samples=10_000, loss="mean-squared-error"),
    Problem("digits", "linear", optimizers=OTHERS),
    Problem("mnist", "linear", (8, 64, 512), OTHERS, samples=10_000),
    *(Problem(name, "linear", optimizers=OTHERS) for name in ("breast cancer", "classification", "diabetes")),
)


# --- one cell -------------------------------------------------------------------------------------------------------


def of_seeds(trials: list[Trial]) -> dict[str, Any]:
    """Return the geometric mean of several seeds' updates: none where one of them did not reach the target."""
    failed = [one.why for one in trials if one.steps is None]
    if failed:
        return {"rate": trials[0].lr, "steps": None, "why": "diverged" if "diverged" in failed else "cut"}
    steps = statistics.geometric_mean(max(1.0, one.steps or math.nan) for one in trials)
    return {"rate": trials[0].lr, "steps": round(steps, 1), "why": "reached"}


@dataclass(slots=True)
class Cell:
    """All trials of a cell by rate: the best rate is climbed to, and both of its sides followed until they fail."""

    try_one: Callable[[float, int], dict[str, Any]]
    limit: int
    trials: dict[float, dict[str, Any]] = field(default_factory=dict)

    @property
    def best(self) -> dict[str, Any] | None:
        """The trial of fewest updates."""
        return min((one for one in self.trials.values() if one["steps"]), key=lambda one: one["steps"], default=None)

    def take(self, rate: float) -> dict[str, Any]:
        """Try a rate, for 4.5 times the fewest updates so far."""
        rate = float(f"{rate:.4g}")
        if rate not in self.trials:
            most = (
                self.limit if self.best is None else min(self.limit, math.ceil(MOST * max(FIRST, self.best["steps"])))
            )
            self.trials[rate] = self.try_one(rate, most)
        return self.trials[rate]

    def search(self, start: float) -> None:
        """Follow both sides of a rate."""
        self.take(start)
        for factor in (2.0, 0.5):
            for power in range(1, DOUBLINGS + 1):
                one = self.take(start * factor**power)
                if one["steps"] is None and (self.best is not None or (factor > 1 and one["why"] == "diverged")):
                    break


def measure(problem: Problem, keep: dict[str, Any], save: Callable[[], None], *, again: bool) -> None:
    """Measure the cells of a problem that are not kept yet, unless ``again``, and default rates that are not tried."""
    names = [key(problem, optimizer, size) for optimizer in problem.optimizers for size in problem.sizes]
    known = [keep["cells"][name] for name in names if name in keep["cells"]]
    if all(default_of(cell) is not None for cell in known) and (again or len(known) == len(names)):
        return
    split = problem.split()
    samples = len(split.train)
    of_data = facts_of(problem, split)
    if problem.name not in keep["targets"]:
        keep["targets"][problem.name] = target_of(problem, split)
    target = Target("loss", keep["targets"][problem.name])

    for optimizer in problem.optimizers:
        trials, start = problem.trials(optimizer, split), None
        limit = (60 if problem.samples else 400) * samples
        for size in problem.sizes:
            name, batch_size = key(problem, optimizer, size), min(size, samples)
            facts = of_data | {"optimizer": optimizer, "batch_size": batch_size}
            default = default_rate(facts)

            def try_one(rate: float, most: int, size: int = batch_size, trials: ToTarget = trials) -> dict[str, Any]:
                done: list[Trial] = []
                for seed in problem.seeds:
                    done.append(trials.train(target, batch_size=size, lr=rate, seed=seed, limit=most))
                    if done[-1].steps is None:
                        break
                return of_seeds(done)

            if again and name not in keep["cells"]:
                continue
            tried = {one["rate"]: one for one in keep["cells"].get(name, {}).get("trials", ())}
            cell, before = Cell(try_one, limit, dict(tried)), len(tried)
            if not tried:
                cell.search(start or default)
            cell.take(default)
            if cell.best is not None:
                start = cell.best["rate"] * (4 if size < 64 else 1)
                limit = max(400, math.ceil(MOST * cell.best["steps"]))
            if len(cell.trials) > before:
                ordered = [cell.trials[rate] for rate in sorted(cell.trials)]
                keep["cells"][name] = {**facts, "samples": samples, "trials": ordered}
                save()
                print(shown(name, cell.best, cell.take(default)), flush=True)


def facts_of(problem: Problem, split: Dataset) -> dict[str, Any]:
    """Return what the default rates follow from, beside optimizer and batch size."""
    loss = problem.loss or ("cross-entropy" if split.class_names else "mean-squared-error")
    facts = Facts.of(split, loss)
    length = round(facts.squared_length, 3)
    return {"model": problem.model, "squared_length": length, "is_table": facts.is_table, "outputs": facts.outputs}


def target_of(problem: Problem, split: Dataset) -> float:
    """Return the loss to reach: a share of the way from the best one that Adam reaches back to the first one."""
    best, first = math.inf, math.inf
    trials = problem.trials("adam", split)
    for rate in (0.001, 0.004):
        for seen in trials.evaluations(batch_size=min(32, len(split.train)), lr=rate, seed=0, limit=problem.pilot):
            loss = seen.value("loss")
            first = loss if seen.updates == 0 else first
            best = min(best, loss)
    return float(f"{best + problem.share * (first - best):.4g}")


# --- the table ------------------------------------------------------------------------------------------------------


def shown(name: str, best: dict[str, Any] | None, default: dict[str, Any]) -> str:
    """Return a cell's row: the best rate and its updates, the default one and how many times as many it needs."""
    if best is None:
        return f"{name:40} no rate reached the target"
    times = (
        f"{max(FIRST, default['steps']) / max(FIRST, best['steps']):6.1f} ×"
        if default["steps"]
        else f"{default['why']:>8}"
    )
    return f"{name:40} {best['steps']:9,.0f} at {best['rate']:<9.3g} default {default['rate']:<9.3g} {times}"


def default_of(kept: dict[str, Any]) -> dict[str, Any] | None:
    """Return a cell's trial at the present default rate; ``None`` where it is still to be measured."""
    rate = default_rate(kept)
    return next((one for one in kept["trials"] if one["rate"] == rate), None)


def default_rate(facts: dict[str, Any]) -> float:
    """Return the present default rate of a cell: what `epochal.train` takes there."""
    known = Facts(facts["squared_length"], facts["is_table"], facts["outputs"])
    return rate_for(facts["optimizer"], facts["batch_size"], facts["model"], known)


def best_of(kept: dict[str, Any]) -> dict[str, Any] | None:
    """Return a cell's trial of fewest updates."""
    return min((one for one in kept["trials"] if one["steps"]), key=lambda one: one["steps"], default=None)


def ratios(keep: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Return, for each optimizer, its cells and how many times the best updates the default rate needs there.

    It is infinite where it did not reach the target within 4.5 times, and NaN where it diverged.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    for name, kept in keep["cells"].items():
        default, best = default_of(kept), best_of(kept)
        if default is not None and best is not None:
            times = math.inf if default["steps"] is None else max(FIRST, default["steps"]) / max(FIRST, best["steps"])
            found.setdefault(kept["optimizer"], []).append((name, times if default["why"] != "diverged" else math.nan))
    return found


def table(keep: dict[str, Any]) -> str:
    """Return the table by optimizer: median and worst of all cells, and which ones are beyond 4 times."""
    lines = ["optimizer  cells   median    worst  within 2  within 4  diverged"]
    beyond = []
    for optimizer, cells in ratios(keep).items():
        times = [math.inf if math.isnan(one) else one for _, one in cells]
        within = [f"{sum(one <= most for one in times) / len(times):.0%}" for most in (2, 4)]
        worst = f"{max(times):.1f}" if max(times) < math.inf else "> 4.5"
        diverged = sum(math.isnan(one) for _, one in cells)
        middle = f"{statistics.median(times):8.1f} {worst:>8} {within[0]:>9} {within[1]:>9} {diverged:9}"
        lines.append(f"{optimizer:10} {len(times):5} {middle}")
        beyond += [f"{name} ({'> 4.5' if one == math.inf else f'{one:.1f}'})" for name, one in cells if not one <= 4]
    return "\n".join([*lines, *(["", "beyond 4 times:", *(f"  {one}" for one in beyond)] if beyond else [])])


def a_line_each(keep: dict[str, dict[str, Any]]) -> str:
    """Return what is kept as JSON with a line for each target and cell."""
    tables = (
        f" {json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(one)}: {json.dumps(rows[one])}" for one in rows)
        + "\n }"
        for name, rows in keep.items()
    )
    return "{\n" + ",\n".join(tables) + "\n}\n"


def main() -> int:
    """Measure, or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="digits alone, in a minute")
    parser.add_argument("--only", default="", help="only problems whose name contains this")
    parser.add_argument(
        "--again", action="store_true", help="measure new default rates alone, in the cells of the file"
    )
    parser.add_argument("--table", action="store_true", help="train nothing, and print what the file holds")
    parser.add_argument("--cells", action="store_true", help="beside the table a row for each cell")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the measurements are kept")
    given = parser.parse_args()
    keep: dict[str, Any] = {"targets": {}, "cells": {}}
    if given.json.exists() and not given.quick:
        keep = json.loads(given.json.read_text())

    def save() -> None:
        if not given.quick:
            given.json.write_text(a_line_each(keep))

    quick = [Problem("digits", model, (1, 64, ALL)) for model in ("linear", "mlp")]
    for problem in () if given.table else quick if given.quick else PROBLEMS:
        if given.only in problem.name:
            measure(problem, keep, save, again=given.again)

    if given.cells:
        for name, kept in keep["cells"].items():
            if (default := default_of(kept)) is not None:
                print(shown(name, best_of(kept), default))
        print()
    print(table(keep))
    return 0


if __name__ == "__main__":
    sys.exit(main())
