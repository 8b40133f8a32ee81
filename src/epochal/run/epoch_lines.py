"""Which epochs leave a line, and the line: the same in a terminal and in a file, by epoch numbers and never by time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from epochal import formats
from epochal.clock import Plan
from epochal.plan_rows import totals
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.run.callbacks import Grown
from epochal.words.catalogue import metric_name, tell

_MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class Thinning:
    """Which epochs are shown, beside the first and the last of a training.

    Attributes:
        every: each so many epochs; ``None`` where the number of epochs is open: each one to the 10th, then each 10th to
            the 100th, each 100th to the 1,000th, and so on.
    """

    every: int | None

    @classmethod
    def of(cls, plan: Plan) -> Thinning:
        """Return the one that shows at most 50 epochs of a plan, beside the first and the last.

        >>> [Thinning.of(Plan(100, 10, epochs=epochs)).every for epochs in (10, 50, 51, 120, 1000, 1001)]
        [1, 1, 2, 5, 20, 50]
        """
        if plan.is_open:
            return cls(None)
        every, factors = 1, (2, 5, 10)
        while totals(plan)["epoch"] > _MOST_LINES * every:
            power = 10 ** (len(str(every)) - 1)
            every = next(factor * power for factor in factors if factor * power > every)
        return cls(every)

    def step(self, epoch: int) -> int:
        """Return how many epochs a line stands for at this one.

        >>> [Thinning(None).step(epoch) for epoch in (1, 10, 11, 100, 101)]
        [1, 1, 10, 10, 100]
        """
        return self.every or 10 ** (len(str(max(1, epoch - 1))) - 1)

    def shows(self, epoch: int) -> bool:
        """Return whether this epoch is shown."""
        return epoch % self.step(epoch) == 0


def growth_line(growth: Grown) -> str:
    """Return what an adaptive batch became, and why, in a line."""
    return tell("epoch_line.growth", **growth_numbers(growth))


def growth_numbers(growth: Grown) -> dict[str, str]:
    """Return the numbers of a growth as they are shown."""
    measured = f"{growth.noise_scale:,.0f}" if math.isfinite(growth.noise_scale) else "∞"
    return {"before": f"{growth.before:,}", "size": f"{growth.batch_size:,}", "measured": measured}


def epoch_line(row: EpochRow, plan: Plan, rate: float, validation: EvaluationRow | None = None) -> str:
    """Return one epoch in a line of at most 80 columns for plans of the usual size and metrics."""
    if plan.is_open:
        parts = [tell("epoch_line.open", epoch=f"{row.epoch:,}", iteration=f"{row.end_iteration:,}")]
    else:
        epochs, iterations = str(totals(plan)["epoch"]), f"{plan.iterations:,}"
        place = {"epoch": f"{row.epoch:>{len(epochs)}}", "iteration": f"{row.end_iteration:>{len(iterations)},}"}
        parts = [tell("epoch_line.place", **place, epochs=epochs)]

    parts.append(tell("epoch_line.loss", loss=formats.loss(row.train_loss)))
    for name, value in row.test.items():
        if name == "loss":
            parts.append(tell("epoch_line.test", loss=formats.loss(value)))
        elif "/" not in name:  # a class's own value
            label = "" if name == "accuracy" else f"{metric_name(name)} "
            parts.append(label + formats.metric(name, value))

    if validation is not None:
        parts.append(tell("epoch_line.validation", loss=formats.loss(validation.loss)))
    parts.append(tell("epoch_line.rate", rate=f"{rate:,.0f}"))
    return "  ".join([*parts, *([] if row.complete else [tell("epoch_line.part")])])
