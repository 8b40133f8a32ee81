"""Live progress of a training: a bar with counters in a terminal, a line for each epoch everywhere else.

Below a notebook's cell it is a `CellProgress`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from epochal.clock import Plan, Position
from epochal.plan_rows import totals
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Grown, Start
from epochal.run.epoch_lines import Thinning, epoch_line, growth_line
from epochal.run.standing import Standing
from epochal.run.surroundings import cell_output
from epochal.words.catalogue import tell
from epochal.words.console import PlainConsole
from epochal.words.layout import said_width
from epochal.words.phrases import translate
from epochal.words.plain_text import one_line

_REFRESHES = 10  # a second


class ProgressBar(Callback):
    """Shows a training. Use it as a context, so that the terminal is left in order.

    Args:
        console: where to; it shows a bar where it is a terminal.
        lines: whether epochs leave lines: each one, or those of `Thinning`, which is said before.
    """

    def __init__(self, console: Console, *, lines: bool = True) -> None:
        self._console, self._lines = console, lines
        self._plan: Plan | None = None
        self._seconds = self._iterations = 0.0
        self._seconds_before = self._share_before = 0.0
        self._standing = Standing()
        self._bar = Live(
            console=console, get_renderable=lambda: self._standing, transient=True, refresh_per_second=_REFRESHES
        )
        self._thinning = Thinning(1)
        self._step: int | None = None
        self._left_out: EpochEnd | None = None

    def __enter__(self) -> ProgressBar:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._detaching():
            self._bar.stop()

    def on_warning(self, message: str) -> None:
        """Print it."""
        self._print(tell("epoch_line.warning", message=translate(message)))

    def on_start(self, start: Start) -> None:
        """Show where it begins."""
        self._plan = start.plan
        self._seconds_before = start.point.seconds
        self._seconds = self._iterations = 0.0
        self._share_before = self._share(start.position)
        self._standing = Standing.at(start.position, start.plan, self._share_before)
        self._thinning = Thinning.of(start.plan)

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Show where it stands."""
        if self._plan is None:
            return
        self._seconds += chunk.seconds
        self._iterations += chunk.losses.size
        share = self._share(chunk.position)
        done = share - self._share_before
        left = self._seconds * (1 - share) / done if done > 0 else None
        standing = Standing.at(chunk.position, self._plan, share)
        self._standing = standing.with_speed(float(chunk.losses.mean()), self._rate, left)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Print the epoch's line, if it is one of those that are shown: the first and the last are."""
        plan, row = self._plan, epoch.row
        if plan is None or not self._lines:
            return
        is_first = self._step is None
        is_last = not row.complete or (not plan.is_open and row.end_iteration == plan.iterations)
        self._say_step(plan, self._thinning.step(row.epoch))
        if is_first or is_last or self._thinning.shows(row.epoch):
            self._print(epoch_line(row, plan, self._rate, epoch.validation))
            self._left_out = None
        else:
            self._left_out = epoch

    def on_growth(self, growth: Grown) -> None:
        """Print it."""
        self._print(growth_line(growth))

    def on_end(self, end: End) -> None:
        """Show where it ended: the last epoch's line too, where the training stopped before its plan's end."""
        if self._plan is None:
            return
        if end.status != "changed":  # it goes on at once, with other options
            if self._left_out is not None:
                self._print(epoch_line(self._left_out.row, self._plan, self._rate, self._left_out.validation))
            self._step = self._left_out = None
        position = end.point.position
        self._standing = Standing.at(position, self._plan, self._share(position))

    @property
    def _rate(self) -> float:
        """Iterations over the time spent in training chunks."""
        return self._iterations / self._seconds if self._seconds else 0.0

    def _share(self, position: Position) -> float:
        """Return how much of the budget is spent."""
        plan = self._plan
        if plan is None:
            return 0.0
        if plan.is_open:
            return min(1.0, 1000 * (self._seconds_before + self._seconds) / plan.budget.amount)
        return position.iteration / max(1, position.iteration + plan.remaining(position).amount)

    def _say_step(self, plan: Plan, step: int) -> None:
        """Say which epochs are shown from here on, where that changes."""
        if step == (self._step or 1):
            pass
        elif plan.is_open:
            self._print(tell("epoch_line.thinned_open", every=f"{step:,}"))
        else:
            self._print(tell("epoch_line.thinned", every=f"{step:,}", epochs=f"{totals(plan)['epoch']:,}"))
        self._step = step

    def _print(self, line: str) -> None:
        text = Text(one_line(line))
        with self._detaching():
            self._console.print(text, soft_wrap=not self._console.is_terminal)  # a file keeps the line whole

    @contextmanager
    def _detaching(self) -> Iterator[None]:
        """Show nothing more once the reader has gone or the terminal was closed: the training goes on without them."""
        try:
            yield
        except OSError:
            self._console.quiet = True


@contextmanager
def progress_bar(wanted: bool | None) -> Iterator[tuple[Callback, ...]]:
    """Show a bar while the block runs: if wanted, or for ``None`` where there is a terminal or a notebook."""
    output = None if wanted is False else cell_output()
    if output is not None:
        from epochal.run.cell_progress import CellProgress  # with its HTML, which a terminal does not need

        with CellProgress(output) as shown:
            yield (shown,)
        return

    console = PlainConsole(width=said_width())
    if wanted is False or (wanted is None and not console.is_terminal):
        yield ()
        return
    with ProgressBar(console) as bar:
        yield (bar,)
