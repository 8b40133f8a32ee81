"""The tables of a study: what was counted, what it led to, and what repeated seeds agree on; from records alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from rich.console import Console

from epochal import formats
from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.screen import command_line, print_next
from epochal.cli.text_lines import print_text, print_whole
from epochal.clock import Plan
from epochal.plan_rows import batch_size_text, batches_text
from epochal.record.study_record import Band, ComparedRun, StudyRecord, bands, is_finished
from epochal.words.catalogue import known, metric_word, tell
from epochal.words.phrases import translate

Row = TypeVar("Row")
Cell: TypeAlias = tuple[Column, Callable[[Row], str]]


def print_study(study: StudyRecord, console: Console, *, offers_landscape: bool = True) -> None:
    """Print a study's tables, what is not finished or went wrong, and what to do next.

    ``offers_landscape`` says whether the command for a landscape is among the latter, where there is none.
    """
    rows = study.compared_runs()
    metrics = _metrics(rows)
    console.print()
    _print(console, _counts(), rows)
    _print(console, _results(study.config.target_accuracy, metrics), rows)
    if found := bands(rows):
        print_text(console, tell("study.bands"))
        _print(console, _spreads(metrics), found)

    print_text(console, tell("study.about_seconds"))
    if (at_once := max((row.at_once for row in rows), default=1)) > 1:
        print_text(console, tell("study.at_once", count=at_once))
    print_text(console, tell("study.about_train_loss"))
    for row in rows:
        if trouble := _trouble(row):
            print_text(console, trouble)
    print_whole(console, tell("study.folder", path=study.path))

    print_next(_next_steps(study, rows, offers_landscape=offers_landscape), console)


def _print(console: Console, cells: Sequence[Cell[Row]], rows: Sequence[Row]) -> None:
    columns = [column for column, _ in cells]
    print_table(console, columns, [[cell(row) for _, cell in cells] for row in rows])


def _metrics(rows: Sequence[ComparedRun]) -> list[str]:
    """Return the metrics that the runs' last evaluations have beside the loss, single classes' values left out."""
    names = dict.fromkeys(name for row in rows if row.test for name in row.test.metrics)
    return [name for name in names if name != "loss" and "/" not in name]


def status_word(status: str) -> str:
    """Return how a run stands, in the present language."""
    if status == "changed":  # which no page says
        return tell("study.changed")
    return tell(f"status.{status}") if known(f"status.{status}") else status


def number(value: float | None, digits: int = 4) -> str:
    """Write a measured number of a table: a dash for none, and what is not finite as its name."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return formats.decimal(value)
    return formats.loss(value) if abs(value) >= 1000 else f"{value:.{digits}f}"


# --- what was counted -----------------------------------------------------------------------------------------------


def _counts() -> tuple[Cell[ComparedRun], ...]:
    return (
        (Column(tell("study.run"), is_text=True, folds=True), lambda row: row.name),
        (Column(tell("study.method")), _of_plan(lambda plan: plan.method.upper())),
        (Column(tell("study.batch_size")), _of_plan(batch_size_text)),
        (Column(tell("study.batches")), _of_plan(batches_text)),
        (Column(tell("study.updates")), _iterations),
        (Column(tell("study.epochs")), lambda row: _epochs(row.epochs)),
        (Column(tell("study.seconds")), lambda row: number(row.training_seconds, 2)),
    )


def _of_plan(value: Callable[[Plan], str]) -> Callable[[ComparedRun], str]:
    """Return a cell that shows something of a run's plan, or a dash where it has not begun."""
    return lambda row: "–" if row.record is None else value(row.record.plan)


def _iterations(row: ComparedRun) -> str:
    return formats.count(None if row.record is None else row.record.history.iterations)


def _epochs(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


# --- what it led to -------------------------------------------------------------------------------------------------


def _results(target: float, metrics: Sequence[str]) -> tuple[Cell[ComparedRun], ...]:
    cells: tuple[Cell[ComparedRun], ...] = (
        (Column(tell("study.run"), is_text=True, folds=True), lambda row: row.name),
        (Column(tell("study.learning_rate")), _learning_rate),
        (Column(tell("study.train_loss")), lambda row: number(row.train_loss)),
        (Column(of_test("loss")), lambda row: number(row.test.loss if row.test else None)),
        *((Column(of_test(name)), _test_cell(name)) for name in metrics),
    )

    if "accuracy" not in metrics:
        return cells

    # how soon they are good
    share = f"{100 * target:g}\N{NO-BREAK SPACE}%"
    return (
        *cells,
        (
            Column(tell("study.updates_to", target=share)),
            lambda row: formats.count(row.reached.updates if row.reached else None),
        ),
        (
            Column(tell("study.seconds_to", target=share)),
            lambda row: number(row.reached.seconds if row.reached else None, 2),
        ),
    )


def of_test(name: str) -> str:
    """Return a metric's name as the test set's, in the present language."""
    return str(metric_word(name, "test"))


def _learning_rate(row: ComparedRun) -> str:
    rate = row.record.config.lr if row.record else None
    return "–" if rate is None else f"{rate:g}"


def _test_cell(name: str) -> Callable[[ComparedRun], str]:
    return lambda row: formats.metric(name, row.test.metrics.get(name) if row.test else None)


# --- what repeated seeds agree on -----------------------------------------------------------------------------------


def _spreads(metrics: Sequence[str]) -> tuple[Cell[Band], ...]:
    return (
        (Column(tell("study.runs"), is_text=True, folds=True), lambda band: band.group),
        (Column(tell("study.seeds")), lambda band: str(len(band.seeds))),
        *((Column(of_test(name)), _spread_cell(name)) for name in ("loss", *metrics)),
    )


def _spread_cell(name: str) -> Callable[[Band], str]:
    def cell(band: Band) -> str:
        spread = band.test.get(name)
        if spread is None:
            return "–"
        mean, low, high = (
            number(value) if name == "loss" else formats.metric(name, value)
            for value in (spread.mean, spread.low, spread.high)
        )
        return tell("study.spread", mean=mean, low=low, high=high)

    return cell


# --- what is not finished, and what to do next ----------------------------------------------------------------------


def _trouble(row: ComparedRun) -> str:
    """Say what is wrong with a run; nothing where all is well."""
    match row.status:
        case "finished":
            return ""
        case "missing":
            return tell("study.missing", run=row.name)
        case "damaged":
            return tell("study.damaged", run=row.name, reason=translate(str(row.problem)))
        case "diverged":
            return tell("study.diverged", run=row.name, rate=_learning_rate(row))
        case _:
            return tell("study.unfinished", run=row.name, status=status_word(row.status), iteration=_iterations(row))


def _next_steps(study: StudyRecord, rows: Sequence[ComparedRun], *, offers_landscape: bool) -> list[tuple[str, str]]:
    """Return what to do next, each with its command."""
    compare = ("compare", "--run", study.path)
    if not is_finished(rows):
        return [(tell("study.finishes"), command_line(*compare))]

    shows = tell("study.shows" if study.landscape_files else "study.shows_curves")
    steps = [(shows, command_line("report", study.path))]
    if offers_landscape and not study.landscape_files:
        steps.append((tell("study.adds_landscape"), command_line(*compare, "--landscape")))
    return steps
