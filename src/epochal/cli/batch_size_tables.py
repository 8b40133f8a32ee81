"""What a terminal shows of "which batch size?": the answer in sentences, a table, a picture, and what to type next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from rich.console import Console

from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.screen import command_line, print_next
from epochal.cli.size_picture import picture_lines
from epochal.cli.text_lines import print_text, print_whole
from epochal.command_words import option_words
from epochal.config import TRAIN
from epochal.formats import count
from epochal.study.batch_size.answer import Answer, Mark
from epochal.study.batch_size.sentences import about, answer_sentences, caveats
from epochal.study.batch_size.trials import SizeRow
from epochal.words.catalogue import tell

MARKS: Final[Mapping[Mark, str]] = {
    "scaling": "sizes.mark_scaling",
    "diminishing": "sizes.mark_diminishing",
    "flat": "sizes.mark_flat",
    "missed": "sizes.mark_missed",
}

Cell: TypeAlias = tuple[Column, Callable[[SizeRow], str]]


def print_answer(answer: Answer, console: Console, folder: Path | None = None) -> None:
    """Print the answer: sentences, the table, the picture, how sure it is, and what to type next.

    Args:
        answer: what the study says.
        console: where to.
        folder: of the study, if it is kept.
    """
    for sentence in answer_sentences(answer):
        print_text(console, str(sentence))
    console.print()
    _print_table(answer, console)
    for line in picture_lines(answer, console.width):
        print_whole(console, line)
    console.print()

    for sentence in caveats(answer):
        print_text(console, str(sentence))
    if steps := _next_steps(answer, folder):
        print_next(steps, console)


def train_command(answer: Answer) -> str | None:
    """Return the command that trains with the fastest size at its best rate; ``None`` where there is none."""
    row = next((row for row in answer.rows if row.batch_size == answer.best), None)
    if row is None:
        return None
    options = {**answer.study.options, "batch_size": row.batch_size, "lr": row.lr}
    return command_line("train", *_data_words(answer), *option_words(options, TRAIN))


def _data_words(answer: Answer) -> list[object]:
    return [Path(answer.study.data)]  # as a path, so that no name is taken for an option


# --- the table ------------------------------------------------------------------------------------------------------


def _print_table(answer: Answer, console: Console) -> None:
    cells = _cells(answer)
    measured = [(row.batch_size, [cell(row) for _, cell in cells]) for row in answer.rows]
    guessed = [(size, _extrapolated(answer, size, steps)) for size, steps in answer.extrapolated]
    print_table(console, [column for column, _ in cells], [texts for _, texts in sorted(measured + guessed)])

    if any(row.is_edge for row in answer.rows):
        print_text(console, tell("sizes.edge"))
    if guessed:
        print_text(console, tell("sizes.extrapolated"))
    print_text(console, tell("sizes.marks"))
    console.print()


def _cells(answer: Answer) -> tuple[Cell, ...]:
    samples = answer.study.samples
    return (
        (Column(tell("sizes.batch_size")), lambda row: count(row.batch_size)),
        (Column(tell("sizes.rate")), rate_text),
        (Column(tell("sizes.updates")), lambda row: "–" if row.steps is None else count(round(row.steps))),
        (Column(tell("sizes.seeds")), seeds_text),
        (Column(tell("sizes.used")), lambda row: "–" if row.samples is None else count(round(row.samples))),
        (Column(tell("sizes.passes")), lambda row: _short(row.passes(samples))),
        (Column(tell("sizes.microseconds")), lambda row: _short(row.microseconds)),
        (Column(tell("sizes.seconds")), lambda row: _short(row.seconds)),
        (Column(tell("sizes.brings"), is_text=True), lambda row: tell(MARKS[answer.mark(row)])),
    )


def rate_text(row: SizeRow) -> str:
    """Return a size's best rate, with a hollow point where a better one may lie beyond those that were tried."""
    if row.lr is None:
        return "–"
    return f"{row.lr:.3g}{' ○' if row.is_edge else ''}"


def seeds_text(row: SizeRow) -> str:
    """Return how far the seeds lie apart, as a part of their mean: half of their range; a dash for a single one."""
    seeds = row.steps_of_seeds
    return f"±{100 * (math.sqrt(max(seeds) / min(seeds)) - 1):.0f} %" if len(seeds) > 1 else "–"


def _extrapolated(answer: Answer, size: int, steps: float) -> list[str]:
    samples = steps * size
    passes = samples / answer.study.samples
    return [count(size), "–", f"≈{about(steps)}", "–", f"≈{about(samples)}", f"≈{about(passes)}", "–", "–", ""]


def _short(value: float | None) -> str:
    """Write a number with three digits of it, or all of those before the point."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# --- what to type next ----------------------------------------------------------------------------------------------


def _next_steps(answer: Answer, folder: Path | None) -> list[tuple[str, str]]:
    steps = []
    if command := train_command(answer):
        steps.append((tell("sizes.next_train"), command))
    if folder is not None:
        steps.append((tell("sizes.next_report"), command_line("report", folder)))
    return steps
