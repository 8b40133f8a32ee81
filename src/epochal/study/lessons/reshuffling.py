"""Each sample exactly once against draws with replacement: how near plain descent comes to the optimum.

On a strongly convex loss, the squared distance that is left is proportional to the rate where samples are drawn with
replacement, and to its square where each epoch is reshuffled (Mishchenko, Khaled, Richtárik, NeurIPS 2020).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from epochal.data import Dataset
from epochal.study.lessons.convex import ConvexProblem, distances
from epochal.study.lessons.lesson_result import (
    LessonColumn,
    LessonCurve,
    LessonPanel,
    LessonResult,
    LessonTable,
    Row,
    column,
    curve_of,
    mean_of,
    significant,
)
from epochal.study.lessons.lesson_trainings import LessonStopped, Work, classification, first_samples
from epochal.study.lessons.row_orders import WAYS, Way, row_order
from epochal.words.catalogue import Words, say

_STRENGTH = 0.01
_AVERAGED = 20
_SAMPLES = 2_000
_DRAWN = 50  # points of a curve, about
_COMPARED: tuple[Way, Way] = ("reshuffled", "replacement")

Key: TypeAlias = tuple[Way, int, float]
"""A way, a batch size and a rate."""
Distances: TypeAlias = Mapping[Key, np.ndarray]
"""Squared distances to the optimum, ``(seeds, epochs)``."""


@dataclass(frozen=True, slots=True)
class ReshufflingPlan:
    """What is trained.

    Attributes:
        rates: of batches of one sample, each half of the one before; all ways are compared at the last.
        batch_size, batch_rate: a larger batch, at which all ways are compared too; ``None`` for none.
    """

    rates: tuple[float, ...]
    epochs: int = 100
    batch_size: int | None = 10
    batch_rate: float = 0.03

    def runs(self) -> list[Key]:
        """Return all that is trained."""
        of_one: list[Key] = [(way, 1, self.rates[-1]) for way in WAYS]
        of_one += [(way, 1, rate) for rate in self.rates[:-1] for way in _COMPARED]
        of_batch: list[Key] = [] if self.batch_size is None else [(w, self.batch_size, self.batch_rate) for w in WAYS]
        return of_one + of_batch


FULL = ReshufflingPlan(rates=(0.012, 0.006, 0.003))
QUICK = ReshufflingPlan(rates=(0.006, 0.003), batch_size=None)


def teach_reshuffling(data: Dataset, plan: ReshufflingPlan, work: Work, *, is_quick: bool) -> LessonResult:
    """Descend in all ways, and say what is to be seen."""
    data = first_samples(classification(data), _SAMPLES)
    far = _distances(ConvexProblem.of(data, _STRENGTH), plan, work)
    left = {key: tuple(map(float, one[:, -_AVERAGED:].mean(axis=1))) for key, one in far.items()}
    one, shuffled = (mean_of(left[(way, 1, plan.rates[-1])]) for way in ("replacement", "reshuffled"))
    laws = {way: [mean_of(left[(way, 1, rate)]) for rate in plan.rates] for way in _COMPARED}
    numbers = {
        "times_nearer": one / shuffled,
        **{f"halving_{way}": laws[way][-2] / laws[way][-1] for way in _COMPARED},
    }

    return LessonResult(
        name="reshuffling",
        is_quick=is_quick,
        title=say("reshuffling.title"),
        question=say("reshuffling.question"),
        setting=say(
            "reshuffling.setting", data=data.name, samples=f"{len(data.train):,}", strength=f"{_STRENGTH:g}",
            epochs=plan.epochs, averaged=_AVERAGED, seeds=len(work.seeds),
        ),
        tables=(_ways_table(plan, left), _law_table(plan, left)),
        findings=_findings(plan, left, numbers),
        steps=(
            (say("reshuffling.step_train"), f"epochal train {data.name} --model linear --batch-size 1"),
            (say("reshuffling.step_learn"), "epochal learn"),
        ),
        panels=(_ways_panel(plan, far), _law_panel(plan, left)),
        numbers=numbers,
    )  # fmt: skip


def _distances(problem: ConvexProblem, plan: ReshufflingPlan, work: Work) -> Distances:
    """Return the distances of all ways; those of one batch size are computed side by side."""
    optimum, every = problem.optimum(), plan.runs()
    far: dict[Key, np.ndarray] = {}
    for batch_size in dict.fromkeys(size for _, size, _ in every):
        keys = [key for key in every if key[1] == batch_size]
        runs = [(key, seed) for key in keys for seed in work.seeds]
        orders = np.stack([row_order(key[0], problem.y, plan.epochs, seed) for key, seed in runs])
        rates = np.array([key[2] for key, _ in runs])
        key = json.dumps([batch_size, plan.epochs, keys, work.seeds])
        make = partial(_found, problem, optimum, orders, rates, batch_size, work)
        shape = (len(keys), len(work.seeds), plan.epochs)
        found = work.kept.get(key, make, partial(_shaped, shape=shape))
        far |= dict(zip(keys, found, strict=True))
    return far


def _shaped(values: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "runs seeds epochs"]:
    return np.array(values, np.float64).reshape(shape)


def _found(
    problem: ConvexProblem, optimum: np.ndarray, orders: np.ndarray, rates: np.ndarray, batch_size: int, work: Work
) -> list[list[float]]:
    """Return the distances after each epoch, a list for each run. Raises `LessonStopped`."""
    found = distances(problem, optimum, orders, rates, batch_size, work.should_stop)
    if found is None:
        raise LessonStopped
    values: list[list[float]] = found.tolist()
    return values


def _label(way: Way) -> Words:
    return {
        "reshuffled": say("reshuffling.reshuffled"),
        "once": say("reshuffling.once"),
        "file": say("reshuffling.file"),
        "sorted": say("reshuffling.sorted"),
        "replacement": say("reshuffling.replacement"),
    }[way]


def _ways_table(plan: ReshufflingPlan, left: Mapping[Key, tuple[float, ...]]) -> LessonTable:
    settings = [(1, plan.rates[-1])] + ([] if plan.batch_size is None else [(plan.batch_size, plan.batch_rate)])
    columns = [column("taught.way", "text")]
    rows: list[dict[str, object]] = [{"way": _label(way)} for way in WAYS]

    for size, rate in settings:
        heading = say("reshuffling.distance", size=size, rate=f"{rate:g}")
        times = LessonColumn(f"times_{size}", say("taught.times"), "times")
        columns += [LessonColumn(f"distance_{size}", heading), times]
        best = mean_of(left[("reshuffled", size, rate)])
        for row, way in zip(rows, WAYS, strict=True):
            values = left[(way, size, rate)]
            row |= {f"distance_{size}": values, f"times_{size}": mean_of(values) / best}
    return LessonTable(tuple(columns), tuple(rows))  # type: ignore[arg-type]


def _law_table(plan: ReshufflingPlan, left: Mapping[Key, tuple[float, ...]]) -> LessonTable:
    """Return what each halving of the rate divides the distance by."""
    rows: list[Row] = []
    for place, rate in enumerate(plan.rates):
        row: dict[str, float | tuple[float, ...] | None] = {"rate": rate}
        for way in _COMPARED:
            values = left[(way, 1, rate)]
            before = mean_of(left[(way, 1, plan.rates[place - 1])]) if place else None
            row |= {way: values, f"{way}_divided": None if before is None else before / mean_of(values)}
        rows.append(row)
    columns = [column("taught.rate", "rate")]
    for way in _COMPARED:
        columns += [LessonColumn(way, _label(way)), LessonColumn(f"{way}_divided", say("reshuffling.divided"))]
    return LessonTable(tuple(columns), tuple(rows), say("reshuffling.law"))


def _ways_panel(plan: ReshufflingPlan, far: Distances) -> LessonPanel:
    every = max(1, plan.epochs // _DRAWN)
    epochs = [float(epoch) for epoch in range(every, plan.epochs + 1, every)]
    shown = {way: far[(way, 1, plan.rates[-1])][:, every - 1 :: every] for way in WAYS}
    curves = tuple(curve_of(_label(way), epochs, shown[way].tolist()) for way in WAYS)
    title = say("reshuffling.panel", rate=f"{plan.rates[-1]:g}")
    return LessonPanel(title, say("taught.epochs"), say("reshuffling.far"), curves, "y")


def _law_panel(plan: ReshufflingPlan, left: Mapping[Key, tuple[float, ...]]) -> LessonPanel:
    curves = []
    for way, power in zip(_COMPARED, (2, 1), strict=True):
        by_seed = list(zip(*(left[(way, 1, rate)] for rate in plan.rates), strict=True))
        curves.append(curve_of(_label(way), plan.rates, by_seed, "marked"))
        last = mean_of(left[(way, 1, plan.rates[-1])])
        guide = tuple(last * (rate / plan.rates[-1]) ** power for rate in plan.rates)
        name = say("reshuffling.guide_square") if power == 2 else say("reshuffling.guide")
        curves.append(LessonCurve(name, plan.rates, guide, look="guide"))
    return LessonPanel(say("reshuffling.panel_law"), say("taught.rate"), say("reshuffling.far"), tuple(curves), "xy")


def _findings(
    plan: ReshufflingPlan, left: Mapping[Key, tuple[float, ...]], numbers: Mapping[str, float]
) -> tuple[Words, ...]:
    """Say what is to be seen, from the numbers."""
    mean = {way: mean_of(left[(way, 1, plan.rates[-1])]) for way in WAYS}
    times = numbers["times_nearer"]
    found = [say("reshuffling.see_nearer" if times > 1 else "reshuffling.see_not_nearer", times=significant(times))]
    if mean["reshuffled"] < mean["once"] < mean["replacement"]:
        found.append(say("reshuffling.see_once", times=significant(mean["once"] / mean["reshuffled"])))
    if mean["sorted"] > mean["replacement"]:
        found.append(say("reshuffling.see_sorted", times=significant(mean["sorted"] / mean["reshuffled"])))
    values = {way: f"{numbers[f'halving_{way}']:.1f}" for way in _COMPARED}
    found.append(say("reshuffling.see_law", rate=f"{plan.rates[-2]:g}", **values))
    return (*found, say("reshuffling.see_convex"))
