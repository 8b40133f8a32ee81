"""What a terminal shows of "which batch size?": the answer in sentences, a table, a picture, and what to type next."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.screen import command_line, print_next
from epochal.cli.size_picture import picture_lines
from epochal.cli.text_lines import print_text, print_whole
from epochal.formats import count
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.sentences import about, answer_sentences, caveats
from epochal.study.batch_size.size_cells import MARKS, rate_text, seeds_text, short
from epochal.study.batch_size.trials import SizeRow
from epochal.words.catalogue import tell

_LONGER = 4  # times the time that was not enough

Cell: TypeAlias = tuple[Column, Callable[[SizeRow], str]]


def print_answer(answer: Answer, console: Console, folder: Path | None = None, within: float | None = None) -> None:
    """Print the answer: sentences, the table, the picture, how sure it is, and what to type next.

    Args:
        answer: what the study says.
        console: where to.
        folder: of the study, if it is kept.
        within: the seconds that it was given.
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
    if steps := _next_steps(answer, folder, within):
        print_next(steps, console)


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
        (Column(tell("sizes.updates_to")), lambda row: "–" if row.steps is None else count(round(row.steps))),
        (Column(tell("sizes.seeds")), seeds_text),
        (Column(tell("sizes.used")), lambda row: "–" if row.samples is None else count(round(row.samples))),
        (Column(tell("sizes.passes")), lambda row: short(row.passes(samples))),
        (Column(tell("sizes.microseconds")), lambda row: short(row.microseconds)),
        (Column(tell("sizes.seconds")), lambda row: short(row.seconds)),
        (Column(tell("sizes.brings"), is_text=True), lambda row: tell(MARKS[answer.mark(row)])),
    )


def _extrapolated(answer: Answer, size: int, steps: float) -> list[str]:
    samples = steps * size
    passes = samples / answer.study.samples
    return [count(size), "–", f"≈{about(steps)}", "–", f"≈{about(samples)}", f"≈{about(passes)}", "–", "–", ""]


# --- what to type next ----------------------------------------------------------------------------------------------


def _next_steps(answer: Answer, folder: Path | None, within: float | None) -> list[tuple[str, str]]:
    steps = []
    if answer.next_command is not None:
        steps.append((tell("sizes.next_train"), answer.next_command))
    if folder is not None and within is not None and any(one.why == "budget" for one in answer.study.left_out):
        longer = f"{math.ceil(_LONGER * within)}s"
        steps.append((tell("sizes.next_longer"), command_line("batch-size", "--run", folder, "--within", longer)))
    if folder is not None:
        steps.append((tell("sizes.next_report"), command_line("report", folder)))
    return steps
