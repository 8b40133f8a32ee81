"""Live progress of a training: a bar with counters in a terminal, a line for each epoch everywhere else.

Below a notebook's cell it is a `CellProgress`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from epochal import formats
from epochal.clock import Plan, Position
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Start
from epochal.run.cell_progress import CellProgress
from epochal.run.surroundings import cell_output

_SECONDS_BETWEEN_LINES = 0.1


_MOST_LINES = 50


class ProgressBar(Callback):
    """Shows a training. Use it as a context, so that the terminal is left in order.

    Args:
        console: where to; it shows a bar where it is a terminal.
        lines: whether each epoch leaves a line, as far as they are not too many to read.
    """

    def __init__(self, console: Console, *, lines: bool = True) -> None:
        self._console, self._lines = console, lines
        self._plan: Plan | None = None
        self._seconds = self._iterations = 0.0
        self._seconds_before = 0.0
        self._line_at = 0.0
        self._bar = _bar(console) if console.is_terminal else None
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None, counters="compiling …")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_warning(self, message: str) -> None:
        """Print it."""
        self._console.print(Text(f"warning: {message}"))

    def on_start(self, start: Start) -> None:
        """Show where it begins."""
        self._plan = start.plan
        self._seconds_before = start.point.seconds
        self._seconds = self._iterations = 0.0
        self._move(start.position, "")

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Show where it stands."""
        self._seconds += chunk.seconds
        self._iterations += chunk.losses.size
        self._move(chunk.position, f"loss {formats.loss(float(chunk.losses.mean()))}  {self._rate:,.0f} it/s")

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Print the epoch's line; in a terminal, where epochs fly by, not every one."""
        plan, row, now = self._plan, epoch.row, time.monotonic()
        if plan is None or not self._lines:
            return
        is_last = not row.complete or (not plan.is_open and row.end_iteration == plan.iterations)
        every = 1 if plan.is_open else max(1, plan.full_epochs // _MOST_LINES)
        if row.epoch % every and not is_last:
            return
        wait = 10 * _SECONDS_BETWEEN_LINES if plan.is_open else _SECONDS_BETWEEN_LINES
        if (self._console.is_terminal or plan.is_open) and not is_last and now - self._line_at < wait:
            return
        self._line_at = now
        line = Text(epoch_line(row, plan, self._rate, epoch.validation))
        self._console.print(line, soft_wrap=not self._console.is_terminal)  # a file keeps the line whole

    def on_end(self, end: End) -> None:
        """Show where it ended."""
        self._move(end.point.position, "")

    @property
    def _rate(self) -> float:
        """Iterations over the time spent in training chunks."""
        return self._iterations / self._seconds if self._seconds else 0.0

    def _move(self, position: Position, rest: str) -> None:
        plan = self._plan
        if self._bar is None or self._task is None or plan is None:
            return
        if plan.is_open:
            done, total = self._seconds_before + self._seconds, plan.budget.amount / 1000
        else:
            done, total = position.iteration, position.iteration + plan.remaining(position).amount
        self._bar.update(
            self._task, completed=min(done, total), total=total, counters=f"{_place(position, plan)}  {rest}"
        )


def epoch_line(row: EpochRow, plan: Plan, rate: float, validation: EvaluationRow | None = None) -> str:
    """Return one epoch in a line of at most 80 columns for plans of the usual size and metrics."""
    line = f"epoch {row.epoch:,}  iteration {row.end_iteration:,}"
    if not plan.is_open:
        epochs = -(-plan.iterations // plan.iterations_per_epoch)
        width = len(f"{plan.iterations:,}")
        line = f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  iteration {row.end_iteration:>{width},}"

    line += f"  loss {formats.loss(row.train_loss)}"
    for name, value in row.test.items():
        if "/" not in name:  # a class's own value
            label = {"loss": "test ", "accuracy": ""}.get(name, f"{name} ")
            line += f"  {label}{formats.loss(value) if name == 'loss' else formats.metric(name, value)}"
    if validation is not None:
        line += f"  validation {formats.loss(validation.loss)}"
    return f"{line}  {rate:,.0f} it/s" + ("" if row.complete else "  (part)")


def _place(position: Position, plan: Plan) -> str:
    batch = -(-position.offset // plan.batch_size)
    batches = f"batch {batch:,}/{plan.batches_per_epoch:,}"
    if plan.is_open:
        return f"epoch {position.epoch + 1:,}  {batches}  iteration {position.iteration:,}"
    epochs = -(-plan.iterations // plan.iterations_per_epoch)
    epoch = min(position.epoch + 1, epochs)
    return f"epoch {epoch}/{epochs}  {batches}  iteration {position.iteration:,}/{plan.iterations:,}"


@contextmanager
def progress_bar(wanted: bool | None) -> Iterator[tuple[Callback, ...]]:
    """Show a bar while the block runs: if wanted, or for ``None`` where there is a terminal or a notebook."""
    output = None if wanted is False else cell_output()
    if output is not None:
        with CellProgress(output) as shown:
            yield (shown,)
        return

    console = Console(highlight=False)
    if wanted is False or (wanted is None and not console.is_terminal):
        yield ()
        return
    with ProgressBar(console) as bar:
        yield (bar,)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[counters]}"),
        BarColumn(bar_width=12),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
