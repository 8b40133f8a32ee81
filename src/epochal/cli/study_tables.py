"""The tables of a study: what was counted, what it led to, and what repeated seeds agree on; from records alone."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from epochal import formats
from epochal.cli.screen import add_rows, build_table
from epochal.clock import Plan
from epochal.record.study_record import Band, ComparedRun, StudyRecord, bands, is_finished

Row = TypeVar("Row")
Column: TypeAlias = tuple[str, Callable[[Row], str]]

_WIDTH = 80


def print_study(study: StudyRecord, console: Console) -> None:
    """Print a study's tables, what is not finished or went wrong, and what to do next."""
    rows = study.compared_runs()
    metrics = _metrics(rows)
    console.print()
    console.print(_table(_COUNTS, rows))
    console.print(_table(_result_columns(study.config.target_accuracy, metrics), rows))
    if found := bands(rows):
        console.print("over repeated seeds: mean (lowest – highest)")
        console.print(_table(_band_columns(metrics), found))

    console.print("seconds: in training alone, without compilation and evaluation")
    console.print("train loss: of the last epoch, each batch's when it was used")
    for row in rows:
        for line in _troubles(row):
            console.print(Text(line), soft_wrap=True)
    console.print(f"study: {study.path}", soft_wrap=True)

    for line in _next_steps(study, rows):
        console.print(f"  {line}", soft_wrap=True)


def _metrics(rows: Sequence[ComparedRun]) -> list[str]:
    """Return the metrics that the runs' last evaluations have beside the loss, single classes' values left out."""
    names = dict.fromkeys(name for row in rows if row.test for name in row.test.metrics)
    return [name for name in names if name != "loss" and "/" not in name]


def _table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """Return a table whose first column, of names, is folded where 80 columns would not hold it beside the others."""
    table = build_table(*((heading, "left" if i == 0 else "right") for i, (heading, _) in enumerate(columns)))
    table.padding = (0, 1, 0, 0)
    cells = [[cell(row) for _, cell in columns] for row in rows]
    longest = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths = [max(*map(len, heading.split()), 4, width) for (heading, _), width in zip(columns, longest, strict=True)]
    widths[0] = min(widths[0], max(8, _WIDTH - sum(widths[1:]) - 2 * len(columns) - 1))
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    return add_rows(table, cells)


def _number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    return formats.loss(value) if abs(value) >= 1000 else f"{value:.{digits}f}"


def _epochs(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _of_plan(value: Callable[[Plan], str]) -> Callable[[ComparedRun], str]:
    """Return a cell that shows something of a run's plan, or a dash where it has not begun."""
    return lambda row: "–" if row.record is None else value(row.record.plan)


def _iterations(row: ComparedRun) -> str:
    return formats.count(None if row.record is None else row.record.history.iterations)


_COUNTS: tuple[Column[ComparedRun], ...] = (
    ("run", lambda row: row.name),
    ("method", _of_plan(lambda plan: plan.method.upper())),
    ("batch size", _of_plan(lambda plan: formats.count(plan.batch_size))),
    ("batches per epoch", _of_plan(lambda plan: formats.count(plan.batches_per_epoch))),
    ("iterations", _iterations),
    ("updates", _iterations),
    ("epochs", lambda row: _epochs(row.epochs)),
    ("seconds", lambda row: _number(row.training_seconds, 2)),
)


def _result_columns(target: float, metrics: Sequence[str]) -> tuple[Column[ComparedRun], ...]:
    columns: tuple[Column[ComparedRun], ...] = (
        ("run", lambda row: row.name),
        ("learning rate", _learning_rate),
        ("train loss", lambda row: _number(row.train_loss)),
        ("test loss", lambda row: _number(row.test.loss if row.test else None)),
        *((f"test {name}", _test_cell(name)) for name in metrics),
    )

    if "accuracy" not in metrics:
        return columns

    to = f"to {100 * target:g} %"
    return (
        *columns,
        (f"updates {to}", lambda row: formats.count(row.reached.updates if row.reached else None)),
        (f"seconds {to}", lambda row: _number(row.reached.seconds if row.reached else None, 2)),
    )


def _learning_rate(row: ComparedRun) -> str:
    rate = row.record.config.lr if row.record else None
    return "–" if rate is None else f"{rate:g}"


def _test_cell(name: str) -> Callable[[ComparedRun], str]:
    return lambda row: formats.metric(name, row.test.metrics.get(name) if row.test else None)


def _band_columns(metrics: Sequence[str]) -> tuple[Column[Band], ...]:
    return (
        ("runs", lambda band: band.group),
        ("seeds", lambda band: str(len(band.seeds))),
        *((f"test {name}", _band_cell(name)) for name in ("loss", *metrics)),
    )


def _band_cell(name: str) -> Callable[[Band], str]:
    def cell(band: Band) -> str:
        spread = band.test.get(name)
        if spread is None:
            return "–"
        mean, low, high = (
            _number(value) if name == "loss" else formats.metric(name, value)
            for value in (spread.mean, spread.low, spread.high)
        )
        return f"{mean} ({low} – {high})"

    return cell


def _troubles(row: ComparedRun) -> list[str]:
    """Say what is wrong with a run, if anything is."""
    match row.status:
        case "finished":
            return []
        case "missing":
            return [f"{row.name} has not begun"]
        case "damaged":
            return [f"{row.name} cannot be read: {row.problem}"]
        case "diverged":
            return [f"{row.name} diverged at learning rate {_learning_rate(row)}; a smaller one or a warm-up may help"]
        case _:
            return [f"{row.name} is {row.status} at iteration {_iterations(row)}"]


def _next_steps(study: StudyRecord, rows: Sequence[ComparedRun]) -> list[str]:
    compare = shlex.join(["epochal", "compare", "--run", str(study.path)])
    if not is_finished(rows):
        return [f"{compare}   (finishes what is not finished)"]
    steps = [f"{shlex.join(['epochal', 'report', str(study.path)])}   (one page with curves and landscape)"]
    if not study.landscape_files:
        steps.append(f"{compare} --landscape   (the loss around the runs' trajectories)")
    return ["try next:", *steps]
