"""Growing the batch instead of letting the rate decay (Smith et al., "Don't decay the learning rate", ICLR 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optax

from epochal.data import Dataset
from epochal.study.lessons.lesson_result import LessonPanel, LessonResult, LessonTable, Row, column, mean_of
from epochal.study.lessons.lesson_trainings import Case, Outcome, Work, curve_of_ways, learned, train_cases
from epochal.words.catalogue import Words, say

_NAMES = ("constant", "decay", "growth")


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """What is trained: three phases of equally many epochs, the later two with a rate, or a batch, ``factor`` times.

    Attributes:
        epochs: of each phase.
        rate: that of the first phase, and of all where it stays.
    """

    batch_size: int
    rate: float
    epochs: int
    factor: int = 4

    def cases(self, samples: int) -> list[Case]:
        """Return the three trainings; an epoch's smaller last batch is left out, so that all batches are whole."""
        small, factor, phase = self.batch_size, self.factor, self.epochs
        per_phase = samples // small * phase
        falling = optax.piecewise_constant_schedule(self.rate, {per_phase: 1 / factor, 2 * per_phase: 1 / factor})
        growing = f"{small},{small * factor}@{phase}ep,{small * factor**2}@{2 * phase}ep"
        return [
            self._case("constant", small, lr=self.rate),
            self._case("decay", small, optimizer=optax.sgd(falling)),
            self._case("growth", growing, lr=self.rate),
        ]

    def _case(self, name: str, batch_size: int | str, *, optimizer: Any = None, lr: float | None = None) -> Case:
        options: dict[str, Any] = {
            "model": "mlp", "batch_size": batch_size, "epochs": 3 * self.epochs, "last": "drop",
        }  # fmt: skip
        if optimizer is None:
            options |= {"optimizer": "sgd", "lr": lr}
        return Case(name, options, optimizer, measures_training=True)


FULL = GrowthPlan(batch_size=100, rate=0.4, epochs=6)
QUICK = GrowthPlan(batch_size=16, rate=0.4, epochs=6)


def teach_growth(data: Dataset, plan: GrowthPlan, work: Work, *, is_quick: bool) -> LessonResult:
    """Train the three schedules, and say what is to be seen."""
    outcomes = dict(zip(_NAMES, train_cases(plan.cases(len(data.train)), data, work), strict=True))
    rows = tuple(_row(plan, name, outcomes[name]) for name in _NAMES)
    losses = {name: mean_of(tuple(one.train_loss for one in outcomes[name])) for name in _NAMES}
    apart = abs(losses["growth"] / losses["decay"] - 1)
    numbers = {
        **{f"train_loss_{name}": losses[name] for name in _NAMES},
        **{f"updates_{name}": float(outcomes[name][0].updates) for name in _NAMES},
        "apart": apart,
    }

    columns = (
        column("taught.case", "text"), column("taught.updates", "count"), column("taught.test_accuracy", "percent"),
        column("taught.test_loss", "loss"), column("taught.train_loss", "loss"),
    )  # fmt: skip
    marks = ", ".join(f"{plan.batch_size * plan.factor**power:,}" for power in range(3))
    growing = f"{plan.batch_size},{plan.batch_size * plan.factor}@{plan.epochs}ep"
    return LessonResult(
        name="growth",
        is_quick=is_quick,
        title=say("growing.title"),
        question=say("growing.question"),
        setting=say(
            "growing.setting", data=data.name, samples=f"{len(data.train):,}", epochs=plan.epochs, sizes=marks,
            seeds=len(work.seeds),
        ),
        tables=(LessonTable(columns, rows),),
        findings=_findings(plan, outcomes, apart),
        steps=(
            (say("growing.step_train"), f"epochal train {data.name} --batch-size {growing} --epochs {2 * plan.epochs}"),
            (say("growing.step_adaptive"), f"epochal train {data.name} --batch-size adaptive"),
        ),
        panels=(
            _panel(plan, outcomes, by_epoch=True),
            _panel(plan, outcomes, by_epoch=False),
        ),
        numbers=numbers,
    )  # fmt: skip


def _label(plan: GrowthPlan, name: str) -> Words:
    rates = ", ".join(f"{plan.rate / plan.factor**power:g}" for power in range(3))
    sizes = ", ".join(f"{plan.batch_size * plan.factor**power:,}" for power in range(3))
    return {
        "constant": say("growing.constant", rate=f"{plan.rate:g}", size=plan.batch_size),
        "decay": say("growing.decay", rates=rates, size=plan.batch_size),
        "growth": say("growing.growth", rate=f"{plan.rate:g}", sizes=sizes),
    }[name]


def _row(plan: GrowthPlan, name: str, outcomes: tuple[Outcome, ...]) -> Row:
    return {
        "case": _label(plan, name),
        "updates": outcomes[0].updates,
        "test_accuracy": learned(outcomes, lambda one: one.test_accuracy),
        "test_loss": tuple(one.test_loss for one in outcomes),
        "train_loss": tuple(one.train_loss for one in outcomes),
    }


def _panel(plan: GrowthPlan, outcomes: dict[str, tuple[Outcome, ...]], *, by_epoch: bool) -> LessonPanel:
    """Return the training loss over epochs, where both ways coincide, or over updates, of which one makes fewer."""
    curves = []
    for name in _NAMES:
        curve = curve_of_ways(_label(plan, name), outcomes[name], lambda point: point[1])
        curves.append(curve if not by_epoch else curve.at(tuple(float(epoch) for epoch in range(1, len(curve.x) + 1))))
    title, x_name = (
        ("growing.panel_epochs", "taught.epochs") if by_epoch else ("growing.panel_updates", "taught.updates")
    )
    return LessonPanel(say(title), say(x_name), say("taught.train_loss"), tuple(curves), "y")


def _findings(plan: GrowthPlan, outcomes: dict[str, tuple[Outcome, ...]], apart: float) -> tuple[Words, ...]:
    """Say what is to be seen, from the numbers."""
    loss = {name: mean_of(tuple(one.train_loss for one in outcomes[name])) for name in _NAMES}
    updates = {name: outcomes[name][0].updates for name in _NAMES}
    key = "growing.see_same" if apart <= 0.03 else "growing.see_near" if apart <= 0.2 else "growing.see_apart"
    found = [
        say(key, decay=f"{loss['decay']:.5f}", growth=f"{loss['growth']:.5f}", apart=f"{100 * apart:.1f}"),
        say(
            "growing.see_updates", growth=f"{updates['growth']:,}", decay=f"{updates['decay']:,}",
            times=f"{updates['decay'] / updates['growth']:.1f}",
        ),
    ]  # fmt: skip
    if loss["constant"] < loss["decay"]:
        found.append(say("growing.see_constant", constant=f"{loss['constant']:.5f}"))
    return (*found, say("growing.see_why", factor=plan.factor))
