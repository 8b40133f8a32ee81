"""What commands show of a study: its progress, and its tables."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from epochal import formats
from epochal.cli.screen import add_rows, build_table, print_json
from epochal.cli.signals import stop_on_signal
from epochal.clock import Plan
from epochal.config import DEFAULT_EPOCHS, StudyConfig, TrainConfig
from epochal.formats import duration, percent, plural
from epochal.landscape import Cancelled, LandscapeOptions
from epochal.record.study_record import Band, ComparedRun, StudyRecord, TuningResult, bands, is_finished
from epochal.run.callbacks import Callback
from epochal.run.progress import ProgressBar
from epochal.study.comparison import resume_study
from epochal.study.landscapes import landscape_of
from epochal.study.runner import Parts, RunStart, StudyCallback
from epochal.study.study import Study

Row = TypeVar("Row")
Column: TypeAlias = tuple[str, Callable[[Row], str]]

_WIDTH = 80
_LOSSES_MEASURED, _LONG_SECONDS = 4, 60.0


class StudyProgress(StudyCallback):
    """Shows a study's searches and runs as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_study(self, study: Study) -> None:
        """Print what is compared, and what all runs have in common."""
        config, data = study.config, study.data
        runs = plural(len(config.members()), "run")
        self._console.print(f"{data.name}: {data.train:,} training and {data.test:,} test samples")
        self._console.print(f"{runs} of {_budget(config)} each")
        self._console.print(_in_common(config))

    def on_tuning(self, config: TrainConfig) -> None:
        """Say which learning rate is searched."""
        self._console.print(f"\nsearching the learning rate of {config.model}, batch size {config.batch_size} …")

    def on_tuned(self, result: TuningResult) -> None:
        """Print the rates that were tried, and the validation loss of each."""
        updates, samples = plural(result.updates, "update"), plural(result.train, "sample")
        scored = plural(result.held_out, "validation sample")
        self._console.print(f"Each learning rate: {updates} on {samples}, scored on {scored}")
        table = build_table(("learning rate", "right"), ("validation loss", "right"), ("", "left"))
        rows = (
            (
                f"{one.lr:g}",
                f"{one.loss:.4f}" if math.isfinite(one.loss) else "diverged",
                "← best" * (one.lr == result.lr),
            )
            for one in result.tried
        )
        self._console.print(add_rows(table, rows))

    @contextmanager
    def follow(self, run: RunStart) -> Iterator[Sequence[Callback]]:
        """Print what the run is, and follow it."""
        self._console.print(f"\n{run.number} of {run.count}  {run.name}: {_about(run)}")
        with ProgressBar(self._console) as bar:
            yield (bar,)


def _budget(config: StudyConfig) -> str:
    shared = config.shared
    if config.seconds is not None:
        return f"{config.seconds:g} seconds of training"
    if shared.iterations is not None:
        return f"{shared.iterations} iterations"
    return shared.budget or f"{shared.epochs or DEFAULT_EPOCHS} epochs"


def _in_common(config: StudyConfig) -> str:
    if len(config.models) == len(config.seeds) == 1:
        return "same initial weights, same order of samples"
    return "one seed: one order of samples; one model and seed: one set of initial weights"


def _about(run: RunStart) -> str:
    plan = run.plan
    batches = plural(plan.batches_per_epoch, "batch")
    rate = "" if run.config.lr is None else f", learning rate {run.config.lr:g}"
    return f"{plan.method.upper()}, {batches} per epoch{rate}"


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), TimeRemainingColumn(compact=True))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def show_landscape(
    study: Study, options: LandscapeOptions, parts: Parts, console: Console, should_stop: Callable[[], bool]
) -> None:
    """Compute a landscape with a bar, unless a stop is asked for."""
    if should_stop():
        return
    with _bar(console) as bar:
        task = bar.add_task(f"landscape ({options.kind})")
        estimate = _Estimate(console)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            estimate.update(done, total)

        try:
            record = landscape_of(study, options, parts=parts, progress=advance, should_stop=should_stop)
        except Cancelled:
            console.print("the landscape was not finished, and not saved")
            return

    losses = f"{options.grid} × {options.grid} losses over {record.samples:,} of {record.of:,} training samples"
    explained = sum(record.explained)
    share = f"; the plane explains {percent(explained)} of the trajectories' variance" if record.explained else ""
    console.print(f"\nlandscape ({options.kind}): {losses} in {record.seconds:.0f} s{share}")
    for run, why in record.left_out:
        console.print(Text(f"  without {run}: {why}"))


@dataclass(slots=True)
class _Estimate:
    """Says once how long a landscape will take, where that is long, and what makes it shorter."""

    console: Console
    started: float | None = None
    said: bool = False

    def update(self, done: int, total: int) -> None:
        """Measure from the second loss on, since the first includes a compilation."""
        now = time.monotonic()
        if done == 1:
            self.started = now
        elif not self.said and self.started is not None and done > _LOSSES_MEASURED:
            self.said = True
            seconds = (now - self.started) / (done - 1) * total
            if seconds > _LONG_SECONDS:
                shorter = "--landscape-samples 1000 or --grid 21 make it shorter"
                self.console.print(f"\nlandscape: {total:,} losses, about {duration(seconds)}; {shorter}")


def finish_study(path: Path, budget: Mapping[str, Any], console: Console) -> int:
    """Do what is left of a study, print it, and return the exit status. A quiet console stands for JSON."""
    with stop_on_signal() as stop:
        study = resume_study(path, callback=StudyProgress(console), should_stop=stop.is_asked, **budget)
    if console.quiet:
        print_json(study.to_dict())
    else:
        print_study(study, console)
    return stop.exit_status


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
    return f"{value:.{digits}f}" if math.isfinite(value) else str(value)


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
