"""A table of epochs as HTML: what each one did, and whether it used each sample as planned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup

from epochal.formats import count
from epochal.record.rows import EpochRow, EvaluationRow, metric_names
from epochal.web.fragment import Fragment, Text
from epochal.words.catalogue import duration, metric, metric_word, say

_MOST, _AT_EACH_END = 12, 5
_MOST_METRICS = 3
_MOST_ON_A_PAGE, _AT_EACH_END_OF_A_PAGE = 200, 20


def epochs_table(epochs: Sequence[EpochRow], evaluations: Iterable[EvaluationRow], write: Fragment) -> Markup:
    """Return a row for each epoch with the evaluations at its end; of many the first, the last, and what went wrong."""
    if not epochs:
        return write.line(say("audit.none"), "soft")
    evaluations = tuple(evaluations)
    tests = metric_names(row for row in evaluations if row.split == "test")[:_MOST_METRICS]
    held_out = {row.iteration: row for row in evaluations if row.split == "validation"}
    validated = metric_names(held_out.values())[: _MOST_METRICS - 1]
    headings: list[Text] = [say(f"audit.{name}") for name in ("epoch", "iterations", "used", "train_loss")]
    headings += [say("cell.of_validation", metric=metric_word(name)) for name in validated]
    headings += [metric_word(name, "test") for name in tests]
    headings += [say("audit.seconds"), say("audit.exact")]

    def cells(row: EpochRow) -> Iterator[Text]:
        yield count(row.epoch) if row.complete else say("audit.part", epoch=count(row.epoch))
        yield from (count(row.iterations), count(row.samples), metric("loss", row.train_loss))
        validation = held_out[row.end_iteration].metrics if row.end_iteration in held_out else {}
        yield from (metric(name, validation.get(name)) for name in validated)
        yield from (metric(name, row.test.get(name)) for name in tests)
        yield duration(row.seconds)
        yield mark(write, say("audit.yes" if row.is_exact else "audit.no"), row.is_exact)

    shown = shown_epochs(epochs, _MOST, _AT_EACH_END)
    rows = (say("audit.left_out", count=count(row)) if isinstance(row, int) else [*cells(row)] for row in shown)
    return write.table(headings, rows)


def mark(write: Fragment, text: Text, is_right: bool) -> Markup:
    """Return a text in the colour of what is right or wrong."""
    return Markup('<span class="{}">{}</span>').format("yes" if is_right else "no", write.text(text))


def shown_epochs(
    epochs: Sequence[EpochRow], most: int = _MOST_ON_A_PAGE, at_each_end: int = _AT_EACH_END_OF_A_PAGE
) -> list[EpochRow | int]:
    """Return the epochs for a table: all, or of very many the first, the last and every one not as planned.

    A number stands for so many epochs left out.
    """
    if len(epochs) <= most:
        return list(epochs)
    rows: list[EpochRow | int] = []
    left_out = 0
    for place, row in enumerate(epochs):
        near_an_end = min(place, len(epochs) - 1 - place) < at_each_end
        if near_an_end or not row.is_exact:
            rows.extend([left_out] if left_out else [])
            rows.append(row)
            left_out = 0
        else:
            left_out += 1
    return rows
