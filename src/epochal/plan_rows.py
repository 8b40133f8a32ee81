"""A plan's arithmetic and counters, named by keys, without any words: what each number is and how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from epochal import formats
from epochal.clock import Plan, Position, Unit
from epochal.phases import Phase

_MOST_SHOWN = 4


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


def batch_size_text(plan: Plan) -> str:
    """Return B as a table shows it: a number, or the schedule as it is written.

    >>> batch_size_text(Plan(60_000, 1_000)), batch_size_text(Plan(60_000, "100,200@10ep"))
    ('1,000', '100,200@10ep')
    """
    return str(plan.batch_sizes) if plan.is_schedule else formats.count(plan.first_batch_size)


def batches_text(plan: Plan) -> str:
    """Return the batches of an epoch as a table shows them, those of a schedule one after the other.

    >>> batches_text(Plan(60_000, 100)), batches_text(Plan(60_000, "100,200@10ep"))
    ('600', '600 → 300')
    """
    counts = [formats.count(plan.batches_at(phase.begin).per_epoch) for phase in plan.phases]
    return " → ".join(counts if len(counts) <= _MOST_SHOWN else [*counts[: _MOST_SHOWN - 2], "…", counts[-1]])


def _epoch_rows(plan: Plan) -> list[PlanRow]:
    if plan.is_schedule:
        rows = [PlanRow("samples", plan.samples, "given"), *(_phase_row(plan, phase) for phase in plan.phases)]
        each = [PlanRow("samples_per_epoch", plan.samples, "each_once")] if plan.last == "keep" else []
        return [*rows, *each]

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


def _phase_row(plan: Plan, phase: Phase) -> PlanRow:
    """Return a line of a schedule: where its batch size begins, and how many batches that makes."""
    iterations, is_first = plan.iterations_of(phase), not phase.start.amount
    values = {"start": str(phase.start), "batches": formats.count(plan.batches_at(phase.begin).per_epoch)}
    if iterations == 0:
        how = "phase_unused"
    elif iterations is None:
        how = "phase_open_first" if is_first else "phase_open"
    else:
        how, values["iterations"] = "phase_first" if is_first else "phase", formats.count(iterations)
    return PlanRow("batch_size", phase.batch_size, how, values)


def _schedule_rows(plan: Plan) -> list[PlanRow]:
    """Return what a budget is in a schedule, whose epochs do not all have as many batches."""
    parts = [count for phase in plan.phases if (count := plan.iterations_of(phase))]
    total = " + ".join(map(formats.count, parts)) if len(parts) > 1 else ""
    rows = [
        PlanRow("full_epochs", plan.full_epochs, "budget" if plan.budget.unit is Unit.EPOCHS else "through_sizes"),
        PlanRow("iterations", plan.iterations, "" if total else "one_each_batch", formula=total),
    ]
    if plan.extra_iterations:
        rows.append(PlanRow("extra_iterations", plan.extra_iterations, "through_sizes"))

    rows.append(PlanRow("updates", plan.updates, "one_each_iteration"))
    if plan.full_epochs > 10:
        rows.append(PlanRow("updates_after_10", plan.iterations_after(epochs=10), "through_sizes"))
    return [*rows, PlanRow("samples_used", plan.samples_used, "as_used")]


def _budget_rows(plan: Plan) -> list[PlanRow]:
    if plan.is_open:
        return [PlanRow("iterations", None, "open", {"time": str(plan.budget)})]
    if plan.is_schedule:
        return _schedule_rows(plan)

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
        return {"epoch": position.epoch, "batch": totals(plan, position)["batch"], "iteration": position.iteration}
    batch = -(-position.offset // plan.batches_at(position).size)
    if plan.is_schedule and plan.position(iteration=position.iteration) == position:
        batch = position.iteration - plan.iterations_after(epochs=position.epoch)
    return {"epoch": position.epoch + bool(batch), "batch": batch, "iteration": position.iteration}


def totals(plan: Plan, position: Position | None = None) -> dict[str, int]:
    """Return what `counters` counts towards at a position, by default at the beginning.

    An open plan's end is not known, only its epoch's batches. A schedule's epochs do not all have as many.
    """
    if plan.is_schedule:
        at = position or Position()
        is_end = bool(at.iteration) and not at.offset
        batches = plan.iterations_left_in_epoch(plan.position(epoch=max(0, at.epoch - is_end)))
    else:
        batches = plan.batches_per_epoch

    if plan.is_open:
        return {"batch": batches}
    epochs = plan.full_epochs + bool(plan.extra_iterations)
    return {"epoch": epochs, "batch": batches, "iteration": plan.iterations}
