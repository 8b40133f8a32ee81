"""The rows of a page's tables: a run's arithmetic with its counts, its epochs, and the comparison of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epochal.clock import Plan
from epochal.formats import count
from epochal.plan_rows import plan_rows
from epochal.record.run_record import Fact, RunRecord
from epochal.report.timeline import Timeline
from epochal.words.catalogue import Words, known, say


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
    return arithmetic(run.plan, run.facts() if run.status == "finished" else ())


def arithmetic(plan: Plan, counted: Sequence[Fact] = ()) -> list[PlanTableRow]:
    """Return a plan's arithmetic, beside what was counted where it was."""
    facts = {fact.name: fact for fact in counted}
    rows = []
    for row in plan_rows(plan):
        how = row.formula or say(f"how.{row.how}", **row.values)
        fact = facts.pop(row.key, None)
        found = count(fact.counted) if fact else None
        agrees = fact.agrees if fact else None
        rows.append(PlanTableRow(say(f"fact.{row.key}"), how, count(row.number), found, agrees))

    for key, fact in facts.items():  # those that no row above has
        name = say(f"fact.{key}") if known(f"fact.{key}") else key
        how = say("how.all_epochs") if key == "exact_epochs" else ""
        rows.append(PlanTableRow(name, how, count(fact.planned), count(fact.counted), fact.agrees))
    return rows


@dataclass(frozen=True, slots=True)
class Cell:
    """A box of a strip: a batch of an epoch, or an epoch of a run; ``number`` is empty for the boxes left out.

    Attributes:
        share: its width, of a whole box's.
    """

    number: str
    content: str
    share: float = 1.0


def batch_cells(timeline: Timeline, epoch: int = 0) -> list[Cell]:
    """Draw an epoch, the first being 0, as its batches, each with its samples."""

    def samples(batch: int) -> int:
        start, stop = timeline.positions(epoch, batch)
        return stop - start

    return _cells(timeline.batches(epoch), samples)


def epoch_cells(timeline: Timeline) -> list[Cell]:
    """Draw a run as its epochs, each with its iterations."""
    return _cells(timeline.epochs, timeline.batches)


def _cells(number: int, content_of: Callable[[int], int]) -> list[Cell]:
    """Return so many boxes, those in the middle left out, as wide as what they hold."""
    numbers: list[int | None]
    if number <= 7:
        numbers = [*range(1, number + 1)]
    elif number < 10_000:
        numbers = [1, 2, 3, None, number - 1, number]
    else:
        numbers = [1, 2, None, number]  # long numbers need wide boxes

    contents = {place: content_of(place - 1) for place in numbers if place is not None}
    most = max(contents.values(), default=1)
    return [
        Cell("", "") if place is None else Cell(count(place), count(contents[place]), max(contents[place] / most, 0.2))
        for place in numbers
    ]
