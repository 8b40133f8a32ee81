"""Live progress below a notebook's cell: one output, written again and again, which ends as a table of the epochs."""

from __future__ import annotations

import time

from markupsafe import Markup

from epochal.clock import Plan, Position
from epochal.formats import count, loss
from epochal.plan_rows import counters, totals
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Grown, Start
from epochal.run.epoch_lines import growth_numbers
from epochal.run.surroundings import CellOutput
from epochal.web.epochs_table import epochs_table
from epochal.web.fragment import Fragment
from epochal.words.catalogue import duration, known, phrase

_SECONDS_BETWEEN = 0.25
_ROWS = 5


class CellProgress(Callback):
    """Shows a training in a cell's output. Use it as a context: what was shown last is there at its end.

    Args:
        output: where to.
        above: what stands above it.
    """

    def __init__(self, output: CellOutput, above: Markup | None = None) -> None:
        self._output, self._above, self._write = output, above or Markup(""), Fragment.here()
        self._plan: Plan | None = None
        self._position: Position | None = None
        self._rows: list[EpochRow] = []
        self._evaluations: list[EvaluationRow] = []
        self._warnings: list[str] = []
        self._growths: list[Grown] = []
        self._seconds = self._iterations = self._seconds_before = self._share_at_start = 0.0
        self._loss: float | None = None
        self._status = ""
        self._shown_at = 0.0

    def __enter__(self) -> CellProgress:
        self._show()
        return self

    def __exit__(self, *error: object) -> None:
        self._show()

    def on_warning(self, message: str) -> None:
        """Show it until the end."""
        self._warnings.append(message)

    def on_start(self, start: Start) -> None:
        """Show where it begins."""
        self._plan, self._position, self._status = start.plan, start.position, ""
        self._seconds_before = start.point.seconds
        self._seconds = self._iterations = 0.0
        self._share_at_start = self._share(start.plan, start.position)
        self._show()

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Show where it stands, a few times a second."""
        self._seconds += chunk.seconds
        self._iterations += chunk.losses.size
        self._position, self._loss = chunk.position, float(chunk.losses.mean())
        if time.monotonic() - self._shown_at >= _SECONDS_BETWEEN:
            self._show()

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Note the row of the table."""
        self._rows = [*self._rows[-_ROWS + 1 :], epoch.row]
        found = (row for row in (epoch.validation, epoch.evaluation) if row is not None)
        self._evaluations = [*self._evaluations[-2 * _ROWS + 2 :], *found]

    def on_growth(self, growth: Grown) -> None:
        """Show it until the end."""
        self._growths.append(growth)

    def on_end(self, end: End) -> None:
        """Note how it ended."""
        self._position, self._status = end.position, end.status

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        write = self._write
        parts = [
            self._above,
            write.line(self.words()),
            self._bar(),
            *(write.line(phrase(one), "soft") for one in self._warnings),
            *(write.line(write.say("epoch_line.growth", **growth_numbers(one)), "soft") for one in self._growths),
        ]
        if self._rows:
            parts.append(epochs_table(self._rows, self._evaluations, write))
        html = write.whole(*parts)
        self._output.show(html, Markup(" ").join(part for part in parts[:2] if part).striptags())

    def words(self) -> Markup:
        """Return how the training stands, in a line."""
        plan, position, write = self._plan, self._position, self._write
        if plan is None or position is None:
            return write.say("cell.compiling")

        # how it stands, and where
        words = [write.say(f"status.{self._status}")] if known(f"status.{self._status}") else []
        of = totals(plan, position)
        for name, number in counters(position, plan).items():
            total = Markup(" / {}").format(count(of[name])) if name in of else ""
            words.append(Markup("{} {}{}").format(write.say(f"now.{name}"), count(number), total))

        # what it led to, and how fast
        if self._loss is not None:
            words.append(Markup("{} {}").format(write.say("metric.loss"), loss(self._loss)))
        if self._seconds:
            words.append(write.say("cell.rate", rate=f"{self._iterations / self._seconds:,.0f}"))
        share = self._share(plan, position)
        done = share - self._share_at_start
        if not self._status and done > 0 and self._seconds:
            words.append(write.say("cell.left", time=duration(self._seconds * (1 - share) / done)))
        return Markup(" · ").join(words)

    def _bar(self) -> Markup:
        """Return a bar, until the training is finished."""
        if self._plan is None or self._position is None or self._status == "finished":
            return Markup("")
        share = self._share(self._plan, self._position)
        return Markup('<div class="bar"><div style="width:{:.1f}%"></div></div>').format(100 * share)

    def _share(self, plan: Plan, position: Position) -> float:
        """Return how much of the budget is spent."""
        if plan.is_open:
            return min(1.0, 1000 * (self._seconds_before + self._seconds) / plan.budget.amount)
        return position.iteration / max(1, position.iteration + plan.remaining(position).amount)
