"""The gap between small and large batches, and its cure.

Keskar et al. (2017) found that large batches generalise worse. Most of what one sees at equal epochs is something else:
a large batch makes few updates, at a rate that suits a small one. Krizhevsky (2014) and Hoffer et al. (2017) let the
rate grow with the root of the batch, Goyal et al. (2017) with the batch itself; Hoffer et al. train longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from epochal.data import Dataset
from epochal.study.lessons.lesson_result import LessonPanel, LessonResult, LessonTable, Row, column, mean_of
from epochal.study.lessons.lesson_trainings import (
    Case,
    Outcome,
    Work,
    curve_of_ways,
    epochs_between,
    first_samples,
    learned,
    train_cases,
)
from epochal.words.catalogue import Words, percent, say

_NAMES = ("small", "large", "root", "linear", "longer", "tuned")
_LONGER = 10


@dataclass(frozen=True, slots=True)
class GapPlan:
    """What is trained.

    Attributes:
        samples: the most that are trained on.
        small, large: the batch sizes.
        rate: that suits the small batch.
        tuned: a rate that suits it better.
        epochs: of all trainings but the longer one.
    """

    samples: int
    small: int
    large: int
    rate: float
    tuned: float
    epochs: int

    @property
    def ratio(self) -> float:
        """How many times larger the large batch is."""
        return self.large / self.small

    def cases(self) -> list[Case]:
        """Return the six trainings."""
        root, linear = self.rate * math.sqrt(self.ratio), self.rate * self.ratio
        return [
            self._case("small", self.small, self.rate),
            self._case("large", self.large, self.rate),
            self._case("root", self.large, root),
            self._case("linear", self.large, linear),
            self._case("longer", self.large, root, self.epochs * _LONGER),
            self._case("tuned", self.small, self.tuned),
        ]

    def _case(self, name: str, batch_size: int, lr: float, epochs: int | None = None) -> Case:
        epochs = epochs or self.epochs
        options: dict[str, Any] = {
            "model": "mlp", "optimizer": "sgd", "batch_size": batch_size, "lr": float(f"{lr:.4g}"), "epochs": epochs,
            "evaluate_every": epochs_between(epochs),
        }  # fmt: skip
        return Case(f"{name}: B = {batch_size}, lr {options['lr']:g}", options, measures_training=True)


FULL = GapPlan(samples=10_000, small=50, large=2_000, rate=0.1, tuned=0.4, epochs=40)
QUICK = GapPlan(samples=1_437, small=8, large=320, rate=0.1, tuned=0.2, epochs=20)


def teach_gap(data: Dataset, plan: GapPlan, work: Work, *, is_quick: bool) -> LessonResult:
    """Train the six cases, and say what is to be seen."""
    data = first_samples(data, plan.samples)
    cases = plan.cases()
    outcomes = dict(zip(_NAMES, train_cases(cases, data, work), strict=True))
    rows = [_row(name, case, outcomes[name]) for name, case in zip(_NAMES, cases, strict=True)]
    numbers = {f"accuracy_{name}": _mean(outcomes[name]) for name in _NAMES}

    columns = (
        column("taught.case", "text"), column("taught.batch_size", "count"), column("taught.rate", "rate"),
        column("taught.updates", "count"), column("taught.test_accuracy", "percent"),
        column("taught.train_loss", "loss"),
    )  # fmt: skip
    curves = tuple(curve_of_ways(_label(name), outcomes[name], lambda point: point[2]) for name in _NAMES)
    return LessonResult(
        name="gap",
        is_quick=is_quick,
        title=say("gap.title"),
        question=say("gap.question", ratio=f"{plan.ratio:g}"),
        setting=say(
            "gap.setting", data=data.name, samples=f"{len(data.train):,}", small=plan.small, large=plan.large,
            seeds=len(work.seeds),
        ),
        tables=(LessonTable(columns, tuple(rows)),),
        findings=_findings(plan, outcomes),
        steps=(
            (say("gap.step_compare"), f"epochal compare {data.name} --batch-size {plan.small},{plan.large} --tune-lr"),
            (say("gap.step_size"), f"epochal batch-size {data.name}"),
        ),
        panels=(LessonPanel(say("gap.panel"), say("taught.updates"), say("taught.test_accuracy"), curves, "x"),),
        numbers=numbers,
    )  # fmt: skip


def _label(name: str) -> Words:
    return {
        "small": say("gap.small"),
        "large": say("gap.large"),
        "root": say("gap.root"),
        "linear": say("gap.linear"),
        "longer": say("gap.longer", times=_LONGER),
        "tuned": say("gap.tuned"),
    }[name]


def _row(name: str, case: Case, outcomes: tuple[Outcome, ...]) -> Row:
    return {
        "case": _label(name),
        "batch_size": case.options["batch_size"],
        "rate": case.options["lr"],
        "updates": outcomes[0].updates,
        "test_accuracy": learned(outcomes, lambda one: one.test_accuracy),
        "train_loss": tuple(one.train_loss for one in outcomes),
    }


def _mean(outcomes: tuple[Outcome, ...]) -> float:
    """Return the mean test accuracy; NaN where a seed did not train."""
    if not all(one.has_learned for one in outcomes):
        return math.nan
    return mean_of(tuple(one.test_accuracy for one in outcomes))


def _findings(plan: GapPlan, outcomes: dict[str, tuple[Outcome, ...]]) -> tuple[Words, ...]:
    """Say what is to be seen, from the numbers."""
    accuracy = {name: _mean(outcomes[name]) for name in _NAMES}
    loss = {name: mean_of(tuple(one.train_loss for one in outcomes[name])) for name in _NAMES}

    def points(first: str, second: str) -> str:
        return f"{100 * (accuracy[first] - accuracy[second]):.2f}"

    found = []
    if accuracy["small"] > accuracy["large"]:
        found.append(say("gap.see_gap", points=points("small", "large"), ratio=f"{plan.ratio:g}"))
    if loss["large"] > 2 * loss["small"]:
        values = {"large": f"{loss['large']:.4f}", "small": f"{loss['small']:.4f}"}
        found.append(say("gap.see_undertrained", **values))
    if accuracy["root"] > accuracy["large"]:
        found.append(say("gap.see_root", points=points("root", "large")))

    failed = sum(not one.has_learned for one in outcomes["linear"])
    if failed:
        found.append(say("gap.see_linear_fails", failed=failed, seeds=len(outcomes["linear"]),
                         rate=f"{plan.rate * plan.ratio:g}"))  # fmt: skip
    else:
        found.append(say("gap.see_linear", accuracy=percent(accuracy["linear"])))
    key = "gap.see_longer" if accuracy["longer"] >= accuracy["small"] - 0.002 else "gap.see_longer_not"
    shares = {name: percent(accuracy[name]) for name in ("longer", "small")}
    found.append(say(key, times=_LONGER, **shares))

    if accuracy["tuned"] > accuracy["small"]:
        found.append(say("gap.see_tuned", tuned=percent(accuracy["tuned"]), small=percent(accuracy["small"])))
    return tuple(found)
