"""What commands show of a study: its progress, and its tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from epochal.cli.progress import TrainingProgress
from epochal.cli.screen import add_rows, build_table, duration, percent, plural, print_json
from epochal.cli.signals import stop_on_signal
from epochal.config import DEFAULT_EPOCHS, StudyConfig, TrainConfig
from epochal.landscape.survey import Cancelled, SurveyOptions, survey
from epochal.record.events import EpochEnded, EpochRow, Event, Listener, Progressed, Warned
from epochal.study.comparison import resume_study
from epochal.study.study import Study, Tuned
from epochal.study.summary import Band, ComparedRun, Spread, bands, compared_runs, describe_study
from epochal.study.working import Begun, Parts, Watcher

Row = TypeVar("Row")
Column: TypeAlias = tuple[str, Callable[[Row], str]]

_SECONDS_BETWEEN_LINES = 1.0
_WIDTH = 80
_LOSSES_MEASURED, _LONG_SECONDS = 4, 60.0


class StudyProgress(Watcher):
    """Shows a study's searches and runs as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def study(self, study: Study) -> None:
        """Print what is compared, and what all runs have in common."""
        config, data = study.config, study.data
        runs = plural(len(config.members()), "run")
        self._console.print(f"{data['name']}: {data['train']:,} training and {data['test']:,} test samples")
        self._console.print(f"{runs} of {_budget(config)} each")
        self._console.print(_in_common(config))

    def tuning(self, config: TrainConfig) -> None:
        """Say which learning rate is searched."""
        self._console.print(f"\nsearching the learning rate of {config.model}, batch size {config.batch_size} …")

    def tuned(self, tuned: Tuned) -> None:
        """Print the rates that were tried, the held-out loss of each, and how they were judged."""
        updates = plural(tuned.updates, "update")
        self._console.print(f"{updates} each on {tuned.train:,} training samples, judged by {tuned.held_out:,} others")
        table = build_table(("learning rate", "right"), ("held-out loss", "right"), ("", "left"))
        rows = (
            (
                f"{one.lr:g}",
                f"{one.loss:.4f}" if math.isfinite(one.loss) else "diverged",
                "← taken" * (one.lr == tuned.lr),
            )
            for one in tuned.tried
        )
        self._console.print(add_rows(table, rows))

    def run(self, begun: Begun) -> AbstractContextManager[Listener]:
        """Print what the run is, and follow it."""
        self._console.print(f"\n{begun.number} of {begun.count}  {begun.name}: {_about(begun)}")
        if begun.seconds is not None:
            return _follow_seconds(self._console, begun.seconds)
        return TrainingProgress(self._console)


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


def _about(begun: Begun) -> str:
    plan = begun.plan
    batches = plural(plan.batches_per_epoch, "batch")
    return f"{plan.method.upper()}, {batches} per epoch, learning rate {begun.config.lr:g}"


@contextmanager
def _follow_seconds(console: Console, seconds: float) -> Iterator[Listener]:
    """Show a run that a number of seconds ends: a bar of seconds, and a line of the latest epoch now and then."""
    with _bar(console) as bar:
        task = bar.add_task("compiling …", total=seconds)
        printed = time.monotonic()

        def listen(event: Event) -> None:
            nonlocal printed
            match event:
                case Progressed(position=position, loss=loss):
                    text = f"epoch {position.epoch + 1:,}  iteration {position.iteration:,}  loss {loss:.4f}"
                    bar.update(task, completed=min(event.seconds, seconds), description=text)
                case EpochEnded(row=row) if time.monotonic() - printed >= _SECONDS_BETWEEN_LINES or not row.complete:
                    printed = time.monotonic()
                    console.print(Text(_line(row)))
                case Warned(message=message):
                    console.print(Text(f"warning: {message}"))

        yield listen


def _line(row: EpochRow) -> str:
    line = f"epoch {row.epoch:,}  iteration {row.end_iteration:,}  loss {row.train_loss:.4f}"
    line += "" if row.test_loss is None else f"  test {row.test_loss:.4f}"
    return line + ("" if row.test_accuracy is None else f"  {percent(row.test_accuracy)}")


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), TimeRemainingColumn(compact=True))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def survey_with_progress(
    study: Study, options: SurveyOptions, parts: Parts, console: Console, should_stop: Callable[[], bool]
) -> None:
    """Survey a landscape with a bar, unless a stop is asked for."""
    if should_stop():
        return
    with _bar(console) as bar:
        task = bar.add_task(f"landscape ({options.kind})")

        estimate = _Estimate(console)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            estimate.update(done, total)

        try:
            record = survey(study, options, parts=parts, progress=advance, should_stop=should_stop)
        except Cancelled:
            console.print("the landscape was not finished, and not saved")
            return
    losses = f"{options.grid} × {options.grid} losses over {record['samples']:,} of {record['of']:,} training samples"
    explained = record["explained"]
    share = f"; the plane explains {percent(sum(explained))} of the ways' variance" if explained else ""
    console.print(f"\nlandscape ({options.kind}): {losses} in {record['seconds']:.0f} s{share}")
    for left_out in record["left_out"]:
        console.print(Text(f"  without {left_out['run']}: {left_out['why']}"))


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
        study = resume_study(path, watcher=StudyProgress(console), should_stop=stop.is_asked, **budget)
    if console.quiet:
        print_json(describe_study(study))
    else:
        print_study(study, console)
    return stop.exit_status


def print_study(study: Study, console: Console) -> None:
    """Print a study's tables, what is not finished or went wrong, and what to do next."""
    rows = compared_runs(study)
    classifies = study.data["task"] == "classification"
    console.print()
    console.print(_table(_COUNTS, rows))
    console.print(_table(_result_columns(study.config.target_accuracy, classifies), rows))
    if found := bands(rows):
        console.print("over repeated seeds: mean (lowest – highest)")
        console.print(_table(_band_columns(classifies), found))
    console.print("seconds: in training alone, without compilation and evaluation")
    console.print("train loss: of the last epoch, each batch's when it was used")
    for row in rows:
        for line in _troubles(row):
            console.print(Text(line), soft_wrap=True)
    console.print(f"study: {study.path}", soft_wrap=True)
    for line in _next_steps(study):
        console.print(f"  {line}", soft_wrap=True)


def _table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    """Return a table whose first column, of names, is folded where 80 columns would not hold it beside the others."""
    table = build_table(*((heading, "left" if i == 0 else "right") for i, (heading, _) in enumerate(columns)))
    table.padding = (0, 1, 0, 0)
    cells = [[cell(row) for _, cell in columns] for row in rows]
    longest = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths = [max(*map(len, heading.split()), 4, width) for (heading, _), width in zip(columns, longest, strict=True)]
    widths[0] = min(widths[0], _WIDTH - sum(widths[1:]) - 2 * len(columns) - 1)
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    return add_rows(table, cells)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else str(value)


def _epochs(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


_COUNTS: tuple[Column[ComparedRun], ...] = (
    ("run", lambda row: row.name),
    ("method", lambda row: (row.method or "–").upper()),
    ("batch size", lambda row: _count(row.batch_size)),
    ("batches per epoch", lambda row: _count(row.batches_per_epoch)),
    ("iterations", lambda row: _count(row.iterations)),
    ("updates", lambda row: _count(row.updates)),
    ("epochs", lambda row: _epochs(row.epochs)),
    ("seconds", lambda row: _number(row.training_seconds, 2)),
)


def _result_columns(target: float, classifies: bool) -> tuple[Column[ComparedRun], ...]:
    columns: tuple[Column[ComparedRun], ...] = (
        ("run", lambda row: row.name),
        ("learning rate", lambda row: "–" if row.lr is None else f"{row.lr:g}"),
        ("train loss", lambda row: _number(row.train_loss)),
        ("test loss", lambda row: _number(row.test_loss)),
    )
    if not classifies:
        return columns
    to = f"to {100 * target:g} %"
    return (
        *columns,
        ("test accuracy", lambda row: percent(row.test_accuracy)),
        (f"updates {to}", lambda row: _count(row.updates_to_target)),
        (f"seconds {to}", lambda row: _number(row.seconds_to_target, 2)),
    )


def _band_columns(classifies: bool) -> tuple[Column[Band], ...]:
    columns: tuple[Column[Band], ...] = (
        ("runs", lambda band: band.group),
        ("seeds", lambda band: str(len(band.seeds))),
        ("test loss", lambda band: _spread(band.test_loss, _number)),
    )
    return (*columns, ("test accuracy", lambda band: _spread(band.test_accuracy, percent))) if classifies else columns


def _spread(spread: Spread | None, write: Callable[[float], str]) -> str:
    return "–" if spread is None else f"{write(spread.mean)} ({write(spread.low)} – {write(spread.high)})"


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
            rate = "" if row.lr is None else f" at learning rate {row.lr:g}"
            return [f"{row.name} diverged{rate}; a smaller one usually helps, or a warm-up"]
        case _:
            return [f"{row.name} is {row.status} at iteration {_count(row.iterations)}"]


def _next_steps(study: Study) -> list[str]:
    if not study.is_finished:
        return [f"epochal compare --run {study.path}   (finishes what is not finished)"]
    steps = [f"epochal report {study.path}   (one page with curves and landscape)"]
    if not study.landscape_files:
        steps.append(f"epochal compare --run {study.path} --landscape   (the loss around the runs' ways)")
    return ["try next:", *steps]
