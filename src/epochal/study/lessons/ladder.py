"""LeCun's ladder: from a linear model to LeNet-5, as in table I of LeCun et al. (1998), with today's trainings.

The order of the models is what is repeated; their numbers are not, and should not be: units are ReLU instead of tanh,
weights start as He et al. (2015) say, the loss is the cross-entropy, and the rate falls along a cosine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from epochal.data import Dataset
from epochal.study.lessons.lesson_result import (
    LessonCurve,
    LessonPanel,
    LessonResult,
    LessonTable,
    Row,
    column,
    curve_of,
    mean_of,
)
from epochal.study.lessons.lesson_trainings import Case, Outcome, Work, first_samples, learned, train_cases
from epochal.words.catalogue import Words, counted, percent, say

MODELS = ("linear", "mlp:300", "mlp:300-100", "lenet")
_IN_1998 = (0.12, 0.047, 0.0305, 0.0095)
"""Test errors of LeCun et al. (1998), without distorted images."""
_SAMPLES_IN_1998 = 60_000


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """What is trained.

    Attributes:
        epochs: of each model.
        samples: the most that are trained on; ``None`` for all.
    """

    epochs: tuple[int, ...]
    samples: int | None = None
    batch_size: int = 100
    lr: float = 0.05

    def cases(self) -> list[Case]:
        """Return a training for each model."""
        return [self._case(model, epochs) for model, epochs in zip(MODELS, self.epochs, strict=True)]

    def _case(self, model: str, epochs: int) -> Case:
        options: dict[str, Any] = {
            "model": model, "optimizer": "momentum", "batch_size": self.batch_size, "lr": self.lr,
            "schedule": "cosine", "epochs": epochs, "evaluate_every": epochs,
        }  # fmt: skip
        return Case(model, options)


FULL = LadderPlan(epochs=(10, 20, 20, 10))
QUICK = LadderPlan(epochs=(8, 8, 8, 8), samples=5_000, batch_size=50)


def teach_ladder(data: Dataset, plan: LadderPlan, work: Work, *, is_quick: bool) -> LessonResult:
    """Train the four models, and say what is to be seen."""
    data = data if plan.samples is None else first_samples(data, plan.samples)
    outcomes = dict(zip(MODELS, train_cases(plan.cases(), data, work), strict=True))
    is_as_then = data.name == "mnist" and len(data.train) == _SAMPLES_IN_1998
    rows = tuple(_row(plan, place, outcomes[model], is_as_then=is_as_then) for place, model in enumerate(MODELS))
    errors = {model: _mean_error(outcomes[model]) for model in MODELS}
    then = (column("taught.error_1998", "percent"),) if is_as_then else ()
    columns = (
        column("taught.model", "text"), column("taught.parameters", "count"), column("taught.epochs", "count"), *then,
        column("taught.test_error", "percent"),
    )  # fmt: skip

    names = ",".join(MODELS)
    return LessonResult(
        name="ladder",
        is_quick=is_quick,
        title=say("ladder.title"),
        question=say("ladder.question"),
        setting=say(
            "ladder.setting", data=data.name, samples=f"{len(data.train):,}", size=plan.batch_size,
            rate=f"{plan.lr:g}", seeds=len(work.seeds),
        ),
        tables=(LessonTable(columns, rows),),
        findings=_findings(errors, outcomes, len(data.test), is_as_then=is_as_then),
        steps=(
            (
                say("ladder.step_compare"),
                f"epochal compare {data.name} --model {names} --batch-size 100 --optimizer momentum --lr 0.05 "
                "--schedule cosine --epochs 10",
            ),
            (say("ladder.step_own"), f"epochal train {data.name} --model mlp:500-150"),
        ),
        panels=(_panel(outcomes, is_as_then=is_as_then),),
        numbers={f"error_{model}": errors[model] for model in MODELS},
    )  # fmt: skip


def _mean_error(outcomes: tuple[Outcome, ...]) -> float:
    return mean_of(tuple(map(_error, outcomes)))


def _error(one: Outcome) -> float:
    """Return the share of wrong answers: all, where it did not train."""
    return 1 - one.test_accuracy if one.has_learned else 1.0


def _row(plan: LadderPlan, place: int, outcomes: tuple[Outcome, ...], *, is_as_then: bool) -> Row:
    return {
        "model": MODELS[place],
        "parameters": outcomes[0].parameters,
        "epochs": plan.epochs[place],
        "error_1998": _IN_1998[place] if is_as_then else None,
        "test_error": learned(outcomes, _error),
    }


def _panel(outcomes: dict[str, tuple[Outcome, ...]], *, is_as_then: bool) -> LessonPanel:
    places = [float(place) for place in range(len(MODELS))]
    seeds = list(zip(*(tuple(100 * _error(one) for one in outcomes[model]) for model in MODELS), strict=True))
    curves = [curve_of(say("ladder.today"), places, seeds, "marked")]
    if is_as_then:
        percents = tuple(100 * share for share in _IN_1998)
        curves.append(LessonCurve(say("ladder.in_1998"), tuple(places), percents, look="marked"))
    y_name = say("ladder.percent_wrong")
    return LessonPanel(say("ladder.panel"), say("taught.model"), y_name, tuple(curves), "y", MODELS)


def _findings(
    errors: dict[str, float], outcomes: dict[str, tuple[Outcome, ...]], tests: int, *, is_as_then: bool
) -> tuple[Words, ...]:
    """Say what is to be seen, from the numbers."""
    order = sorted(MODELS, key=lambda model: errors[model], reverse=True)
    seeds = counted(len(outcomes[MODELS[0]]), "seed")
    # the standard deviation of a share, counted on so many images with so many seeds
    middle = errors["mlp:300"]
    unsure = math.sqrt(max(middle * (1 - middle), 1 / tests) / tests)
    values = {name: percent(errors[name]) for name in ("linear", "lenet")}
    found = [
        say("ladder.see_order", **values) if tuple(order) == MODELS
        else say("ladder.see_other_order", order=" > ".join(order))
    ]  # fmt: skip

    near = abs(errors["mlp:300"] - errors["mlp:300-100"])
    if near < 2 * unsure:
        found.append(say("ladder.see_near", near=f"{100 * near:.2f}", unsure=f"{100 * unsure:.2f}", tests=f"{tests:,}",
                         seeds=seeds))  # fmt: skip
    if is_as_then and errors["mlp:300"] < _IN_1998[1]:
        found.append(say("ladder.see_1998", then=percent(_IN_1998[1]), now=percent(errors["mlp:300"])))
    parameters = {model: outcomes[model][0].parameters for model in MODELS}
    if parameters["lenet"] < parameters["mlp:300"]:
        found.append(say("ladder.see_size", lenet=f"{parameters['lenet']:,}", mlp=f"{parameters['mlp:300']:,}"))
    return tuple(found)
