"""The rows of a page's tables: a run's arithmetic with its counts, its epochs, and the comparison of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epochal.clock import Plan, Position
from epochal.formats import count
from epochal.plan_rows import plan_rows
from epochal.record.rows import EpochRow
from epochal.record.run_record import RunRecord
from epochal.web.words import Words, known, say

_EPOCHS_SHOWN = 200
_EPOCHS_AT_EACH_END = 20


@dataclass(frozen=True, slots=True)
class PlanTableRow:
    """A number of the plan in words: what it is, how it comes about, and beside it what training counted."""

    name: Words | str
    how: Words | str
    planned: str
    counted: str | None = None
    agrees: bool | None = None


def plan_table(run: RunRecord) -> list[PlanTableRow]:
    """Return the plan's arithmetic with the run's numbers in it, beside what a finished run counted."""
    facts = {fact.name: fact for fact in run.facts()} if run.status == "finished" else {}
    rows = []
    for row in plan_rows(run.plan):
        how = row.formula or say(f"how.{row.how}", **row.values)
        fact = facts.pop(row.key, None)
        counted = count(fact.counted) if fact else None
        agrees = fact.agrees if fact else None
        rows.append(PlanTableRow(say(f"fact.{row.key}"), how, count(row.number), counted, agrees))

    for key, fact in facts.items():  # those that no row above has
        name = say(f"fact.{key}") if known(f"fact.{key}") else key
        how = say("how.all_epochs") if key == "exact_epochs" else ""
        rows.append(PlanTableRow(name, how, count(fact.planned), count(fact.counted), fact.agrees))
    return rows


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


@dataclass(frozen=True, slots=True)
class Cell:
    """A box of a strip: a batch of an epoch, or an epoch of a run; ``number`` is empty for the boxes left out.

    Attributes:
        share: its width, of a whole box's.
    """

    number: str
    content: str
    share: float = 1.0


def batch_cells(plan: Plan) -> list[Cell]:
    """Draw an epoch as its batches, each with its samples."""
    last = plan.last_batch_size
    return _cells(plan.batches_per_epoch, plan.batch_size, None if last == plan.batch_size else last)


def epoch_cells(plan: Plan) -> list[Cell]:
    """Draw a run as its epochs, each with its iterations."""
    full, per_epoch = plan.full_epochs, plan.iterations_per_epoch
    if not plan.extra_iterations:
        return _cells(full, per_epoch, None)
    return _cells(full + 1, per_epoch, plan.extra_iterations)


def _cells(number: int, content: int, last: int | None) -> list[Cell]:
    """Return so many boxes, those in the middle left out; ``last`` is the content of a smaller last one."""
    numbers: list[int | None]
    if number <= 7:
        numbers = [*range(1, number + 1)]
    elif number < 10_000:
        numbers = [1, 2, 3, None, number - 1, number]
    else:
        numbers = [1, 2, None, number]  # long numbers need wide boxes
    cells = [Cell("", "") if place is None else Cell(count(place), count(content)) for place in numbers]
    if last is not None:
        cells[-1] = Cell(cells[-1].number, count(last), max(last / content, 0.2))
    return cells


def shown_epochs(epochs: Sequence[EpochRow]) -> list[EpochRow | int]:
    """Return the epochs for a table: all, or of very many the first, the last and every one not as planned.

    A number stands for so many epochs left out.
    """
    if len(epochs) <= _EPOCHS_SHOWN:
        return list(epochs)
    rows: list[EpochRow | int] = []
    left_out = 0
    for place, row in enumerate(epochs):
        near_an_end = min(place, len(epochs) - 1 - place) < _EPOCHS_AT_EACH_END
        if near_an_end or not row.is_exact:
            rows.extend([left_out] if left_out else [])
            rows.append(row)
            left_out = 0
        else:
            left_out += 1
    return rows
