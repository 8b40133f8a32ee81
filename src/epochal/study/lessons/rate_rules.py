"""How the best learning rate follows the batch size: the linear rule for plain descent, the root rule for Adam.

The linear rule is of Goyal et al. (2017), and holds below the critical batch size; the root rule for Adam is derived by
Malladi et al. (2022). The best rate is the one that needs the fewest updates to a target on held-out samples.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine.lanes import Lanes, lanes_for
from epochal.run.custom import Custom
from epochal.study.batch_size.pilot import run_pilot
from epochal.study.batch_size.search import Question, Search, Wish
from epochal.study.batch_size.trials import SizeRow
from epochal.study.held_out import validation_split
from epochal.study.lessons.lesson_result import (
    LessonCurve,
    LessonPanel,
    LessonResult,
    LessonTable,
    Row,
    column,
    significant,
)
from epochal.study.lessons.lesson_trainings import LessonStopped, Work, classification, first_samples
from epochal.study.target import Target, Trial
from epochal.study.to_target import Stopped, ToTarget
from epochal.words.catalogue import Words, phrase, say

POWERS: Mapping[str, float] = {"sgd": 1.0, "adam": 0.5}
"""Of the batch size, by which rules let the rate grow; the search begins with it, and finds others."""
_NAMES: Mapping[str, str] = {"sgd": "SGD", "adam": "Adam"}
_PARAMETERS = 200_000  # more than an mlp on such data has: for what fits into memory
_FEWEST = 2
_STILL_GROWS = 0.9  # times what the root rule says from one size to the next
_HALF = 0.6
_WORTH_SAYING = 1.2


@dataclass(frozen=True, slots=True)
class RatesPlan:
    """What is trained.

    Attributes:
        samples: the most that are trained on, those that are held out included.
        sizes: batch sizes, rising.
        start: the one of them to begin with.
        rates: of each optimizer to begin with, at that size.
        target: the accuracy on held-out samples of the data set of this name; of other data, a first training says it.
        limit: the most updates of a first trial.
    """

    samples: int
    sizes: tuple[int, ...]
    start: int
    rates: Mapping[str, float]
    target: tuple[str, float]
    limit: int


FULL = RatesPlan(
    samples=12_000,
    sizes=(1, 4, 16, 64, 256, 1_024),
    start=64,
    rates={"sgd": 0.32, "adam": 0.0064},
    target=("mnist", 0.94),
    limit=3_000,
)
QUICK = RatesPlan(
    samples=1_437,
    sizes=(1, 4, 16, 64, 256),
    start=16,
    rates={"sgd": 0.32, "adam": 0.0064},
    target=("digits", 0.94),
    limit=2_000,
)


def teach_rates(data: Dataset, plan: RatesPlan, work: Work, *, is_quick: bool) -> LessonResult:
    """Search the best rate of each batch size with both optimizers, and say what is to be seen."""
    split = validation_split(first_samples(classification(data), plan.samples), 0)
    target = Target("accuracy", plan.target[1]) if data.name == plan.target[0] else None
    searches = _searches(split, plan, target, work)
    rows = {one.optimizer: one.rows for one in searches}
    numbers = {f"rate_{name}_{row.batch_size}": row.lr for name in rows for row in rows[name] if row.lr is not None}

    return LessonResult(
        name="rates",
        is_quick=is_quick,
        title=say("rates.title"),
        question=say("rates.question"),
        setting=say(
            "rates.setting", data=data.name, samples=f"{len(split.train):,}", target=phrase(str(searches[0].target)),
            held_out=f"{len(split.test):,}", seeds=len(work.seeds),
        ),
        tables=tuple(_table(name, rows[name]) for name in rows),
        findings=_findings(searches),
        steps=(
            (say("rates.step_size"), f"epochal batch-size {data.name}"),
            (say("rates.step_compare"), f"epochal compare {data.name} --batch-size 16,256 --tune-lr"),
        ),
        panels=tuple(_panel(name, rows[name]) for name in rows),
        numbers=numbers,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OfOptimizer:
    """What was found for one optimizer.

    Attributes:
        target: that all trials were trained to.
        rows: one for each size, rising.
        trials: all on the way.
    """

    optimizer: str
    target: Target
    rows: tuple[SizeRow, ...]
    trials: tuple[Trial, ...]


def _searches(split: Dataset, plan: RatesPlan, target: Target | None, work: Work) -> list[OfOptimizer]:
    """Return what was found for each optimizer; both are searched side by side."""
    sizes = tuple(size for size in plan.sizes if size <= len(split.train))
    start = plan.start if plan.start in sizes else sizes[len(sizes) // 2]
    at_once = lanes_for(work.at_once, len(POWERS), split, _PARAMETERS)
    lanes, turn = Lanes(at_once, work.should_stop), threading.Lock()
    configs = {name: TrainConfig(data=split.name, model="mlp", optimizer=name) for name in POWERS}
    trainings = {
        name: ToTarget(config, split, Custom(data=True, at_once=at_once), lambda: lanes.is_stopping)
        for name, config in configs.items()
    }

    def tried(name: str, goal: Target, wish: Wish) -> Trial:
        given = dataclasses.asdict(wish)
        key = json.dumps(["trial", name, str(goal), given])
        return work.kept.get(key, lambda: trainings[name].train(goal, **given).to_dict(), Trial.from_dict)

    def search(name: str, goal: Target) -> OfOptimizer:
        trials: list[Trial] = []

        def try_all(wishes: Sequence[Wish]) -> list[Trial]:
            # one after the other, as the other optimizer is searched meanwhile
            done = [tried(name, goal, wish) for wish in wishes]
            trials.extend(done)
            return done

        def may_try(size: int, neighbour: SizeRow | None) -> bool:
            with turn:
                work.callback.on_tuning(dataclasses.replace(configs[name], batch_size=size))
            return True

        question = Question(goal, sizes, start, plan.rates[name], plan.limit, work.seeds, POWERS[name], stops=False)
        rows = sorted(Search(question, try_all, may_try).run(), key=lambda row: row.batch_size)
        return OfOptimizer(name, goal, tuple(rows), tuple(trials))

    try:
        goal = target or work.kept.get(
            "target", lambda: _piloted(trainings["sgd"], plan, start, len(split.train)).to_dict(), Target.from_dict
        )
        done = lanes.run([partial(search, name, goal) for name in POWERS])
    except Stopped:
        raise LessonStopped from None
    if len(done) < len(POWERS):
        raise LessonStopped
    return done


def _piloted(training: ToTarget, plan: RatesPlan, batch_size: int, samples: int) -> Target:
    """Return the target that a first training says, for data of which none is known."""
    return run_pilot(training, batch_size=batch_size, lr=plan.rates["sgd"] / 2, seed=0, samples=samples).target


def _table(optimizer: str, found: Sequence[SizeRow]) -> LessonTable:
    columns = (
        column("taught.batch_size", "count"), column("rates.best", "rate"), column("rates.grown", "times"),
        column("rates.linear_rule", "times"), column("rates.root_rule", "times"), column("rates.steps", "count"),
    )  # fmt: skip
    first = next((row for row in found if row.lr is not None), None)
    rows: list[Row] = []
    for row in found:
        values: dict[str, float | tuple[float, ...] | None] = {"batch_size": row.batch_size, "best": row.lr}
        if first is not None and first.lr is not None and row.lr is not None:
            ratio = row.batch_size / first.batch_size
            values |= {"grown": row.lr / first.lr, "linear_rule": ratio, "root_rule": math.sqrt(ratio)}
        rows.append({**values, "steps": row.steps})
    return LessonTable(columns, tuple(rows), say("rates.table", optimizer=_NAMES[optimizer]))


def _panel(optimizer: str, rows: Sequence[SizeRow]) -> LessonPanel:
    points = [(row.batch_size, row.lr) for row in rows if row.lr is not None]
    sizes, rates = tuple(float(size) for size, _ in points), tuple(rate for _, rate in points)
    curves = [LessonCurve(say("rates.best"), sizes, rates, look="marked")]
    if points:
        for name, power in ((say("rates.linear_rule"), 1.0), (say("rates.root_rule"), 0.5)):
            ruled = tuple(rates[0] * (size / sizes[0]) ** power for size in sizes)
            curves.append(LessonCurve(name, sizes, ruled, look="guide"))
    title = say("rates.panel", optimizer=_NAMES[optimizer])
    return LessonPanel(title, say("taught.batch_size"), say("taught.rate"), tuple(curves), "xy")


def _findings(searches: Sequence[OfOptimizer]) -> tuple[Words, ...]:
    """Say what is to be seen, from the numbers."""
    found: list[Words] = []
    for one in searches:
        found += _about(one)
    return (*found, say("rates.see_resolution"))


def _about(one: OfOptimizer) -> list[Words]:
    """Say how far the rate of one optimizer grows, which rule that is, and what another rate costs."""
    known = [(row.batch_size, row.lr) for row in one.rows if row.lr is not None]
    if len(known) < _FEWEST:
        return []
    (small, low), (knee, high), (large, last) = known[0], _knee(known), known[-1]
    name, found = _NAMES[one.optimizer], []

    if knee > small:
        batch, grown = knee / small, high / low
        is_linear = abs(math.log(grown / batch)) < abs(math.log(grown / math.sqrt(batch)))
        values = {"small": small, "large": knee, "batch": f"{batch:g}", "grown": significant(grown),
                  "root": significant(math.sqrt(batch))}  # fmt: skip
        key = "rates.see_linear" if is_linear else "rates.see_root"
        found.append(say(key, optimizer=name, **values))
    if large > knee:
        values = {"small": knee, "large": large, "batch": f"{large / knee:g}", "grown": significant(last / high)}
        found.append(say("rates.see_flat", optimizer=name, **values))
    return [*found, *_cost(one, knee)]


def _knee(known: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Return up to where the rate grows as a rule says from one size to the next; the end, if not even at first."""
    grows = [
        after[1] / before[1] >= _STILL_GROWS * math.sqrt(after[0] / before[0]) for before, after in pairwise(known)
    ]
    count = next((number for number, does in enumerate(grows) if not does), len(grows))
    return known[count] if count else known[-1]


def _cost(one: OfOptimizer, size: int) -> list[Words]:
    """Say what a lower rate costs at a size, if one was tried."""
    row = next(row for row in one.rows if row.batch_size == size)
    assert row.lr is not None
    lower = [trial for trial in one.trials if trial.batch_size == size and trial.lr <= _HALF * row.lr]
    if not lower:
        return []
    nearest, best = max(lower, key=lambda trial: trial.lr), row.trials[0]
    updates = nearest.updates if nearest.steps is None else nearest.steps
    if best.steps is None or updates < _WORTH_SAYING * best.steps:
        return []
    values = {"best": f"{row.lr:.4g}", "rate": f"{nearest.lr:.4g}", "times": f"{updates / best.steps:.1f}"}
    return [say("rates.see_cost", size=size, optimizer=_NAMES[one.optimizer], **values)]
