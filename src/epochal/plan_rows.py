"""A plan's arithmetic and counters, named by keys, without any words: what each number is and how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from epochal.clock import Plan, Position, Unit


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One number of a plan.

    Attributes:
        key: what it is; ``fact.KEY`` is its name in words.
        number: the number; ``None`` where only time will tell.
        how: how it comes about: ``how.HOW`` is its text; empty where ``formula`` says it.
        values: what fills the gaps of that text.
        formula: the calculation with the plan's numbers in it.
    """

    key: str
    number: int | None
    how: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    formula: str = ""


def plan_rows(plan: Plan) -> list[PlanRow]:
    """Return everything that can be counted before training, in the order of an explanation.

    >>> [(row.key, row.formula or row.how, row.number) for row in plan_rows(Plan(60_000, 100, epochs=2))][2:4]
    [('batches_per_epoch', 'N / B = 60,000 / 100', 600), ('iterations_per_epoch', 'one_each_batch', 600)]
    """
    return [*_epoch_rows(plan), *_budget_rows(plan)]


def _epoch_rows(plan: Plan) -> list[PlanRow]:
    n, b, batches = plan.samples, plan.batch_size, plan.batches_per_epoch
    if n % b == 0:
        division = f"N / B = {n:,} / {b:,}"
    else:
        division = f"⌊N / B⌋ = ⌊{n:,} / {b:,}⌋" if plan.last == "drop" else f"⌈N / B⌉ = ⌈{n:,} / {b:,}⌉"

    rows = [
        PlanRow("samples", n, "given"),
        PlanRow("batch_size", b, "per_update"),
        PlanRow("batches_per_epoch", batches, formula=division),
        PlanRow("iterations_per_epoch", batches, "one_each_batch"),
        PlanRow("updates_per_epoch", batches, "one_each_iteration"),
    ]

    if plan.dropped_per_epoch:
        rows.append(PlanRow("dropped", plan.dropped_per_epoch, "left_out"))
    elif plan.last_batch_size != b:
        rows.append(PlanRow("last_batch", plan.last_batch_size, formula=f"{n:,} − {batches - 1:,} × {b:,}"))
    return [*rows, PlanRow("samples_per_epoch", plan.samples_per_epoch, "each_once")]


def _budget_rows(plan: Plan) -> list[PlanRow]:
    if plan.is_open:
        return [PlanRow("iterations", None, "open", {"time": str(plan.budget)})]

    per_epoch, total, full = plan.iterations_per_epoch, plan.iterations, plan.full_epochs
    product, quotient = f"{full:,} × {per_epoch:,}", f"{total:,} / {per_epoch:,}"

    if plan.budget.unit is Unit.EPOCHS:
        rows = [PlanRow("full_epochs", full, "budget"), PlanRow("iterations", total, formula=product)]
    else:
        in_samples = plan.budget.unit is Unit.SAMPLES
        given = PlanRow("iterations", total, "paid", {"samples": f"{plan.budget.amount:,}"})
        rows = [
            given if in_samples else PlanRow("iterations", total, "budget"),
            PlanRow("full_epochs", full, formula=f"⌊{quotient}⌋" if plan.extra_iterations else quotient),
        ]
        if plan.extra_iterations:
            rows.append(PlanRow("extra_iterations", plan.extra_iterations, formula=f"{total:,} − {product}"))

    rows.append(PlanRow("updates", total, "one_each_iteration"))
    if full > 10:
        rows.append(PlanRow("updates_after_10", plan.iterations_after(epochs=10), formula=f"10 × {per_epoch:,}"))
    return [*rows, PlanRow("samples_used", plan.samples_used, "as_used")]


def counters(position: Position, plan: Plan) -> dict[str, int]:
    """Return epoch, batch and iteration as a training that stands at ``position`` counts them: each from 1.

    >>> counters(Position(600, 1, 0), Plan(60_000, 100))
    {'epoch': 1, 'batch': 600, 'iteration': 600}
    >>> counters(Position(601, 1, 100), Plan(60_000, 100))
    {'epoch': 2, 'batch': 1, 'iteration': 601}
    """
    if position.iteration and not position.offset:
        return {"epoch": position.epoch, "batch": plan.batches_per_epoch, "iteration": position.iteration}
    batch = -(-position.offset // plan.batch_size)
    return {"epoch": position.epoch + bool(batch), "batch": batch, "iteration": position.iteration}


def totals(plan: Plan) -> dict[str, int]:
    """Return what `counters` counts towards; an open plan's end is not known, only its epoch's batches."""
    if plan.is_open:
        return {"batch": plan.batches_per_epoch}
    epochs = plan.full_epochs + bool(plan.extra_iterations)
    return {"epoch": epochs, "batch": plan.batches_per_epoch, "iteration": plan.iterations}
