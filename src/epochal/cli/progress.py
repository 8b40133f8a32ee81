"""Live progress of a training: a bar with counters in a terminal, one line an epoch everywhere else."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from epochal.cli.screen import percent
from epochal.clock import Plan, Position
from epochal.data import Dataset, load_data
from epochal.data.dataset import Task
from epochal.record.events import Ended, EpochEnded, EpochRow, Event, Progressed, Started, Warned

_SECONDS_BETWEEN_LINES = 0.1


class TrainingProgress:
    """Listens to a training and shows it. Use it as a context, so that the terminal is left in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: Plan | None = None
        self._rate = 0.0
        self._line_at = 0.0
        self._bar = _training_bar(console) if console.is_terminal else None
        self._task: TaskID | None = None

    def __enter__(self) -> TrainingProgress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None, counters="compiling …")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Started(position=position, plan=plan):
                self._plan = plan
                self._move(position, "")
            case Progressed(position=position, loss=loss):
                self._rate = event.iterations_per_second
                self._move(position, f"loss {loss:.4f}  {self._rate:,.0f} it/s")
            case EpochEnded(row=row):
                self._print_line(row)
            case Warned(message=message):
                self._console.print(Text(f"warning: {message}"))
            case Ended(position=position):
                self._move(position, "")

    def _move(self, position: Position, rest: str) -> None:
        if self._bar is not None and self._task is not None and self._plan is not None:
            counters = f"{_place(position, self._plan)}  {rest}"
            end = position.iteration + self._plan.remaining(position).amount
            self._bar.update(self._task, completed=position.iteration, total=end, counters=counters)

    def _print_line(self, row: EpochRow) -> None:
        """Print the epoch's line; in a terminal, where epochs fly by, not every one."""
        assert self._plan is not None
        now = time.monotonic()
        last = row.end_iteration == self._plan.iterations
        if self._console.is_terminal and not last and now - self._line_at < _SECONDS_BETWEEN_LINES:
            return
        self._line_at = now
        self._console.print(Text(epoch_line(row, self._plan, self._rate)))


def epoch_line(row: EpochRow, plan: Plan, rate: float) -> str:
    """Return one epoch in a line of at most 80 columns for plans of the usual size."""
    epochs = -(-plan.iterations // plan.iterations_per_epoch)
    width = len(f"{plan.iterations:,}")
    line = f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  iteration {row.end_iteration:>{width},}"
    line += f"  loss {row.train_loss:.4f}"
    if row.test_loss is not None:
        line += f"  test {row.test_loss:.4f}"
        line += f"  {percent(row.test_accuracy)}" if row.test_accuracy is not None else ""
    return f"{line}  {rate:,.0f} it/s" + ("" if row.complete else "  (part)")


def _place(position: Position, plan: Plan) -> str:
    epochs = -(-plan.iterations // plan.iterations_per_epoch)
    batch = -(-position.offset // plan.batch_size)
    epoch = min(position.epoch + 1, epochs)
    return (
        f"epoch {epoch}/{epochs}  batch {batch:,}/{plan.batches_per_epoch:,}"
        f"  iteration {position.iteration:,}/{plan.iterations:,}"
    )


def _training_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[counters]}"),
        BarColumn(bar_width=12),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )


def load_with_progress(console: Console, source: str, target: str | None = None, task: Task | None = None) -> Dataset:
    """Load a data set; show a bar in a terminal while it is fetched or made."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bar.add_task(title)
            bar.update(tasks[title], completed=done, total=total)

        return load_data(source, target=target, task=task, progress=advance if console.is_terminal else None)
